/* Makes a folder for a test, and removes what it left there. */
#ifndef TESTS_SUPPORT_TREE_H
#define TESTS_SUPPORT_TREE_H

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A new folder of that NAME and more in PATH, of SIZE bytes: in memory where there is such a place, since hundreds of
 * fsyncs take long on a disk. False: it could not be made. */
static inline bool make_tree(char *path, size_t size, const char *name)
{
	int n = snprintf(path, size, "%s/portcullis-%s-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", name);
	return n < (int)size && mkdtemp(path);
}

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
