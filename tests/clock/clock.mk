# SPDX-License-Identifier: GPL-3.0-or-later
# The clock that a test owns. Never instrumented, as the fake devices.

CLOCK_BUILD	:= $(BUILD)/clock
CLOCK_CFLAGS	:= -std=gnu11 -D_GNU_SOURCE -O2 -g -fPIC -pthread -Wall -Wextra -Wshadow \
		   -Wmissing-prototypes -Wstrict-prototypes -Wundef -Wvla -U_FORTIFY_SOURCE
CLOCK_OBJ	:= $(patsubst %,$(CLOCK_BUILD)/%.o,clock timer wait)

$(CLOCK_BUILD)/%.o: tests/clock/%.c tests/clock/clock.mk
	$(call SAY,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CLOCK_CFLAGS) -MMD -MP -c -o $@ $<

$(CLOCK_BUILD)/libtestclock.so: $(CLOCK_OBJ) tests/clock/clock.map
	$(call SAY,LINK,$@)
	$(Q)$(CC) -shared -pthread -Wl,-z,defs -Wl,--version-script=tests/clock/clock.map -o $@ $(CLOCK_OBJ) -ldl

$(CLOCK_BUILD)/selftest: $(CLOCK_BUILD)/selftest.o
	$(call SAY,LINK,$@)
	$(Q)$(CC) -pthread -o $@ $^ $(shell $(PKG_CONFIG) --libs cmocka)

.PHONY: test-clock
test-clock: $(CLOCK_BUILD)/libtestclock.so $(CLOCK_BUILD)/selftest

# Whoever uses the fake devices may want to own their time, and their own test does.
fake: test-clock

-include $(CLOCK_OBJ:.o=.d) $(CLOCK_BUILD)/selftest.d
