// SPDX-License-Identifier: GPL-3.0-or-later
/* Between the network thread and the capture device's controls: see desk.h. */
#include "desk.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "base/wait.h"

#define LOG_TOPIC "capture"
#include "base/log.h"

enum state { IDLE, ASKED, BEGUN, DONE };

struct desk {
	int wake_fd; /* set at creation, as is the next one */
	int answer_fd;

	pthread_mutex_t lock;
	struct source_controls controls; /* under lock, as all of this block */
	enum state state;
	bool ignored; /* nobody waits for the answer */
	struct option_control wish[CONTROLS];
	struct desk_answer answer;
};

int desk_create(struct desk **out, int wake_fd)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct desk *desk;

	if (fd < 0)
		return -errno;
	desk = xcalloc(1, sizeof(*desk));
	desk->wake_fd = wake_fd;
	desk->answer_fd = fd;
	pthread_mutex_init(&desk->lock, NULL);
	*out = desk;
	return 0;
}

void desk_destroy(struct desk *desk)
{
	if (!desk)
		return;
	close(desk->answer_fd);
	pthread_mutex_destroy(&desk->lock);
	free(desk);
}

/* ---- network thread */

void desk_look(struct desk *desk, struct source_controls *out)
{
	pthread_mutex_lock(&desk->lock);
	*out = desk->controls;
	pthread_mutex_unlock(&desk->lock);
}

int desk_ask(struct desk *desk, const struct option_control wish[CONTROLS])
{
	bool busy;

	pthread_mutex_lock(&desk->lock);
	busy = desk->state != IDLE;
	if (!busy) {
		desk->state = ASKED;
		desk->ignored = false;
		memcpy(desk->wish, wish, sizeof(desk->wish));
	}
	pthread_mutex_unlock(&desk->lock);
	if (busy)
		return -EBUSY;
	wake(desk->wake_fd);
	return 0;
}

int desk_fd(const struct desk *desk)
{
	return desk->answer_fd;
}

bool desk_hear(struct desk *desk, struct desk_answer *out)
{
	eventfd_t count;
	bool done;

	eventfd_read(desk->answer_fd, &count);
	pthread_mutex_lock(&desk->lock);
	done = desk->state == DONE;
	*out = desk->answer;
	if (done)
		desk->state = IDLE;
	done = done && !desk->ignored;
	pthread_mutex_unlock(&desk->lock);
	return done;
}

bool desk_withdraw(struct desk *desk)
{
	bool unbegun;

	pthread_mutex_lock(&desk->lock);
	unbegun = desk->state == ASKED;
	if (unbegun)
		desk->state = IDLE;
	desk->ignored = true;
	pthread_mutex_unlock(&desk->lock);
	return unbegun;
}

/* ---- capture thread */

void desk_show(struct desk *desk, struct source *source)
{
	struct source_controls controls;

	memset(&controls, 0, sizeof(controls));
	if (source)
		source->ops->list(source, &controls);
	pthread_mutex_lock(&desk->lock);
	desk->controls = controls;
	pthread_mutex_unlock(&desk->lock);
}

static bool begin(struct desk *desk, struct option_control wish[CONTROLS])
{
	bool asked;

	pthread_mutex_lock(&desk->lock);
	asked = desk->state == ASKED;
	if (asked) {
		desk->state = BEGUN;
		memcpy(wish, desk->wish, sizeof(desk->wish));
	}
	pthread_mutex_unlock(&desk->lock);
	return asked;
}

/* The first one that is asked for. */
static enum option_control_id first(const struct option_control wish[CONTROLS])
{
	unsigned i = 0;

	while (i < CONTROLS - 1 && wish[i].mode == CONTROL_KEEP)
		i++;
	return i;
}

void desk_serve(struct desk *desk, struct source *source)
{
	struct desk_answer answer = { .error = -ENODEV };
	struct option_control wish[CONTROLS];

	if (!begin(desk, wish))
		return;
	answer.which = first(wish);
	if (source) {
		answer.error = source->ops->control(source, wish, &answer.which);
		desk_show(desk, source);
	}
	pthread_mutex_lock(&desk->lock);
	desk->state = DONE;
	desk->answer = answer;
	pthread_mutex_unlock(&desk->lock);
	wake(desk->answer_fd);
}
