/* Owns main() of the fuzz targets in an ordinary build: replays files and whole directories once.
 *
 * fuzz_NAME without arguments replays tests/fuzz/corpus/NAME: so it is a test of `make check`. */
#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX ((size_t)4 << 20)

static size_t replayed;

/* Each input in memory of just its size, so that a sanitizer sees a read past its end. */
static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *all = malloc(INPUT_MAX);
	if (!f || !all) {
		perror(path);
		free(all);
		return 1;
	}
	size_t n = fread(all, 1, INPUT_MAX, f);
	uint8_t *data = malloc(n ? n : 1);
	if (!data)
		abort();
	memcpy(data, all, n);
	LLVMFuzzerTestOneInput(data, n);
	replayed++;
	free(data);
	free(all);
	fclose(f);
	return 0;
}

static int replay(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0) {
		perror(path);
		return 1;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path);
	DIR *dir = opendir(path);
	if (!dir) {
		perror(path);
		return 1;
	}
	int rc = 0;
	for (struct dirent *e; (e = readdir(dir));) {
		char file[PATH_MAX];
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		if (e->d_name[0] != '.')
			rc |= replay_file(file);
	}
	closedir(dir);
	return rc;
}

static int replay_own_corpus(const char *program)
{
	const char *name = strstr(program, "fuzz_"), *top = getenv("top_srcdir");
	char dir[PATH_MAX];
	/* The last "fuzz_" of the path: directories may hold one too. */
	for (const char *next = name; next; next = strstr(next + 1, "fuzz_"))
		name = next;
	if (!name) {
		fprintf(stderr, "%s: not named fuzz_NAME; give files or directories\n", program);
		return 1;
	}
	snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", top ? top : ".", name + 5);
	return replay(dir);
}

int main(int argc, char **argv)
{
	int rc = argc < 2 ? replay_own_corpus(argv[0]) : 0;
	for (int i = 1; i < argc; i++)
		rc |= replay(argv[i]);
	printf("%zu inputs replayed\n", replayed);
	return rc || replayed == 0;
}
