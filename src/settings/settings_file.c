// SPDX-License-Identifier: GPL-3.0-or-later
/* Keeps what was changed while the program ran: see settings_file.h. */
#include "settings/settings_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/thread.h"
#include "base/util.h"

#define LOG_TOPIC "settings"
#include "base/log.h"

#define NEW_NAME     SETTINGS_FILE_NAME ".new"
#define DAMAGED_NAME SETTINGS_FILE_NAME ".damaged"

#define MAX_SIZE (64 * 1024)

struct settings_file {
	const char *dir; /* set at creation, as is the next one */
	int dir_fd;
	pthread_t thread;
	bool failed; /* thread only: and said so */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* with lock */
	char *text;             /* under lock: to be written; NULL: nothing */
	bool stop;              /* under lock */
};

/* ---- reading */

/* NULL: `why` says why not. */
static json_t *parse(const char *text, size_t size, char why[static 256])
{
	json_error_t error;
	json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);

	if (json_is_object(object))
		return object;
	if (!object)
		snprintf(why, 256, "line %d, column %d: %s", error.line, error.column, error.text);
	else
		snprintf(why, 256, "not a JSON object");
	json_decref(object);
	return NULL;
}

static json_t *read_object(int fd, char why[static 256])
{
	char *text = xcalloc(1, MAX_SIZE + 1);
	ssize_t size = read(fd, text, MAX_SIZE);
	json_t *object = size < 0 ? NULL : parse(text, (size_t)size, why);

	if (size < 0)
		snprintf(why, 256, "%s", strerror(errno));
	free(text);
	return object;
}

/* NULL without a reason: there is no such file. */
static json_t *open_object(int dir_fd, char why[static 256])
{
	AUTO(auto_close)
	int fd = openat(dir_fd, SETTINGS_FILE_NAME,
		O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat status;

	*why = '\0';
	if (fd < 0 && errno == ENOENT)
		return NULL;
	if (fd >= 0 && fstat(fd, &status) == 0) {
		if (S_ISREG(status.st_mode) && status.st_size <= MAX_SIZE)
			return read_object(fd, why);
		snprintf(why, 256, "not a file of at most 64 KiB");
	} else {
		snprintf(why, 256, "%s", strerror(errno));
	}
	return NULL;
}

json_t *settings_file_load(const char *dir)
{
	AUTO(auto_close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *object;
	char why[256];

	if (fd < 0)
		return NULL; /* settings_file_create() says it */
	object = open_object(fd, why);
	if (object || !*why)
		return object;
	if (renameat(fd, SETTINGS_FILE_NAME, fd, DAMAGED_NAME) == 0)
		log_warn("%s/" SETTINGS_FILE_NAME " is set aside as " DAMAGED_NAME ": %s", dir,
			why);
	else
		log_warn("%s/" SETTINGS_FILE_NAME " cannot be used: %s", dir, why);
	return NULL;
}

/* ---- writing */

static int write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t done = write(fd, text, left);

		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0) {
			text += done;
			left -= (size_t)done;
		}
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* The old file stays until all of the new one is on the disk. */
static int replace(const struct settings_file *file, const char *text)
{
	AUTO(auto_close)
	int fd = openat(file->dir_fd, NEW_NAME,
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int res = fd < 0 ? -errno : write_all(fd, text);

	if (res == 0 && renameat(file->dir_fd, NEW_NAME, file->dir_fd, SETTINGS_FILE_NAME) < 0)
		res = -errno;
	if (res == 0 && fsync(file->dir_fd) < 0)
		res = -errno;
	return res;
}

static void keep(struct settings_file *file, const char *text)
{
	int res = replace(file, text);

	if (res < 0 && !file->failed)
		log_error("%s/" SETTINGS_FILE_NAME
			  ": %s: settings will be forgotten at the next start",
			file->dir, strerror(-res));
	else if (res == 0 && file->failed)
		log_info("settings are kept again");
	file->failed = res < 0;
}

/* What waits to be written; NULL: the end. */
static char *await_text(struct settings_file *file)
{
	char *text;

	pthread_mutex_lock(&file->lock);
	while (!file->text && !file->stop)
		pthread_cond_wait(&file->changed, &file->lock);
	text = file->text;
	file->text = NULL;
	pthread_mutex_unlock(&file->lock);
	return text;
}

static void *run(void *arg)
{
	struct settings_file *file = arg;
	char *text;

	log_name_thread("settings");
	while ((text = await_text(file))) {
		keep(file, text);
		free(text);
	}
	return NULL;
}

int settings_file_create(struct settings_file **out, const char *dir)
{
	struct settings_file *file = xcalloc(1, sizeof(*file));
	int res;

	file->dir = dir;
	file->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	res = file->dir_fd < 0 ? -errno : 0;
	pthread_mutex_init(&file->lock, NULL);
	pthread_cond_init(&file->changed, NULL);
	if (res == 0)
		res = thread_start(&file->thread, run, file);
	if (res < 0) {
		log_error("--state-dir %s: %s: settings will be forgotten at the next start", dir,
			strerror(-res));
		close_fd(&file->dir_fd);
		free(file);
		return res;
	}
	*out = file;
	return 0;
}

void settings_file_destroy(struct settings_file *file)
{
	if (!file)
		return;
	pthread_mutex_lock(&file->lock);
	file->stop = true;
	pthread_cond_signal(&file->changed);
	pthread_mutex_unlock(&file->lock);
	pthread_join(file->thread, NULL);
	close_fd(&file->dir_fd);
	pthread_cond_destroy(&file->changed);
	pthread_mutex_destroy(&file->lock);
	free(file);
}

void settings_file_put(struct settings_file *file, char *text)
{
	pthread_mutex_lock(&file->lock);
	free(file->text);
	file->text = text;
	pthread_cond_signal(&file->changed);
	pthread_mutex_unlock(&file->lock);
}
