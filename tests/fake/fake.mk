# SPDX-License-Identifier: GPL-3.0-or-later
# The fake devices of the tests. Never instrumented: they stand for the kernel.

FAKE_BUILD	:= $(BUILD)/fake
FAKE_SRC	:= $(wildcard tests/fake/*.c)
FAKE_LIB_SRC	:= $(filter-out tests/fake/selftest%.c,$(FAKE_SRC))
FAKE_TEST_SRC	:= $(filter tests/fake/selftest%.c,$(FAKE_SRC))
FAKE_LIB_OBJ	:= $(FAKE_LIB_SRC:tests/fake/%.c=$(FAKE_BUILD)/%.o)
FAKE_TEST_OBJ	:= $(FAKE_TEST_SRC:tests/fake/%.c=$(FAKE_BUILD)/%.o)
FAKE_CFLAGS	:= -std=gnu11 -D_GNU_SOURCE -O2 -g -fPIC -pthread -Wall -Wextra -Wshadow \
		   -Wmissing-prototypes -Wstrict-prototypes -Wundef -Wvla -U_FORTIFY_SOURCE
# A client under a sanitizer, on a busy machine, may take longer to come for its frames.
FAKE_CFLAGS	+= $(if $(SAN),-DSTARVE_MS=4000)

$(FAKE_BUILD)/%.o: tests/fake/%.c tests/fake/fake.mk
	@mkdir -p $(@D)
	$(CC) $(FAKE_CFLAGS) -MMD -MP -c -o $@ $<

$(FAKE_BUILD)/libfakev4l2.so: $(FAKE_LIB_OBJ)
	$(CC) -shared -pthread -Wl,-z,defs -o $@ $^ $(shell $(PKG_CONFIG) --libs libjpeg x264) -ldl

$(FAKE_BUILD)/selftest: $(FAKE_TEST_OBJ)
	$(CC) -pthread -o $@ $^ $(shell $(PKG_CONFIG) --libs cmocka libjpeg)

.PHONY: fake check-fake
fake: $(FAKE_BUILD)/libfakev4l2.so $(FAKE_BUILD)/selftest

check-fake: fake
	tests/fake/check $(FAKE_BUILD)

-include $(FAKE_LIB_OBJ:.o=.d) $(FAKE_TEST_OBJ:.o=.d)
