/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The protocol of docs/ring.md for spin: one writer, two readers, three slots. Each frame's bytes
 * are one cell for each slot, so a frame takes its slot's cell and its stamp together. Numbers
 * are not cut here, so that a slot and a number never agree by chance.
 *
 * `make model` runs it.
 *
 * States are what a sequentially consistent machine goes through; that the fences are in the
 * right places for weaker ones is argued in docs/ring.md.
 */
#define SLOTS  3
#define FRAMES 5
#define GONE   1

int stamp[SLOTS]; /* number + 1; 0: not whole */
int cell[SLOTS];  /* the bytes: number + 1 of the frame they are of; -1: half written */
int head, bell, gone;
int asleep[2];    /* queued at the futex: the value of the bell then, plus 1; 0: not */
int next[2];      /* what each reader reads next */

inline wake_all() {
	atomic { asleep[0] = 0; asleep[1] = 0 }
}

inline wake_same(value) {
	atomic {
		if
		:: asleep[0] == value -> asleep[0] = 0
		:: else -> skip
		fi;
		if
		:: asleep[1] == value -> asleep[1] = 0
		:: else -> skip
		fi
	}
}

/* Whichever is first in the queue. */
inline wake_one(value) {
	atomic {
		if
		:: asleep[0] == value -> asleep[0] = 0
		:: asleep[1] == value -> asleep[1] = 0
		:: asleep[0] != value && asleep[1] != value -> skip
		fi
	}
}

/* Those who sleep on values before the last one. */
inline wake_late() {
	atomic {
		late = 0;
		if
		:: asleep[0] && asleep[0] < bell -> asleep[0] = 0; late = 1
		:: else -> skip
		fi;
		if
		:: asleep[1] && asleep[1] < bell -> asleep[1] = 0; late = 1
		:: else -> skip
		fi
	}
}

/* Mistrust lasts for a while: so it may be there or not. */
inline ring_bell() {
	bell++;
	if
	:: wake_all()
	:: wake_late();
		if
		:: late -> wake_same(bell)
		:: else -> wake_one(bell)
		fi
	fi
}

active proctype writer()
{
	int n = 0;
	bit late;

	do
	:: n < FRAMES ->
		stamp[n % SLOTS] = 0;
		cell[n % SLOTS] = -1; /* the copy takes two steps */
		cell[n % SLOTS] = n + 1;
		stamp[n % SLOTS] = n + 1;
		head = n + 1;
		ring_bell();
		n++
	:: else -> break
	od;
	/* It says that it ends, or is silent from now on. */
	if
	:: gone = GONE;
		bell++;
		wake_all()
	:: skip
	fi
}

proctype reader(int me)
{
	int h, b, copy;

	do
	:: true ->
again:
		b = bell;
		h = head;
		if
		:: h == next[me] ->
			if
			:: gone == GONE ->
				/* All was said before it: nothing may be left unseen. */
				h = head;
				if
				:: h == next[me] -> break
				:: else -> skip
				fi
			:: else ->
				/* FUTEX_WAIT: compares and queues in one step. */
				atomic {
					if
					:: bell == b -> asleep[me] = b + 1
					:: else -> goto again
					fi
				};
end_sleep:
				asleep[me] == 0;
				wake_same(b + 1) /* passes the wake on */
			fi
		:: h - next[me] > SLOTS -> next[me] = h - 1 /* lapped */
		:: else ->
			if
			:: stamp[next[me] % SLOTS] != next[me] + 1 -> next[me] = h - 1;
				if
				:: stamp[next[me] % SLOTS] != next[me] + 1 -> next[me] = h
				:: else -> skip
				fi
			:: else ->
				copy = cell[next[me] % SLOTS];
				if
				:: stamp[next[me] % SLOTS] == next[me] + 1 ->
					assert(copy == next[me] + 1); /* no torn read */
					skip
				:: else -> skip /* thrown away */
				fi;
				next[me]++
			fi
		fi
	od;
	assert(next[me] == FRAMES)
}

init {
	atomic { run reader(0); run reader(1) };
	/* Nobody can go on: then nobody sleeps over a frame. */
	timeout -> assert(next[0] == FRAMES && next[1] == FRAMES)
}
