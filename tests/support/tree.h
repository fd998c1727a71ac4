/* Removes what a test left in its folder. */
#ifndef TESTS_SUPPORT_TREE_H
#define TESTS_SUPPORT_TREE_H

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* PATH and all below it; symbolic links are not followed. What cannot be removed stays. */
static inline void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *entry;
	while (d && (entry = readdir(d)) != NULL) {
		char sub[PATH_MAX];
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		int n = snprintf(sub, sizeof(sub), "%s/%s", path, entry->d_name);
		if (n < (int)sizeof(sub) && unlink(sub) != 0)
			remove_tree(sub);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

#endif
