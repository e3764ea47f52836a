# SPDX-License-Identifier: GPL-3.0-or-later
# One Makefile; everything it makes is under build/. `make help` lists the targets.
#
#   make V=1                     show the commands
#   make SAN=address,undefined   an instrumented build, in build/san-address-undefined/
#   make CC=aarch64-linux-gnu-gcc PKG_CONFIG=aarch64-linux-gnu-pkg-config
#   make install DESTDIR=/tmp/x PREFIX=/usr

VERSION := 0.1.0

# Not ?=: make's built-in CC would win over it, and gcc is what every Debian has.
ifeq ($(origin CC),default)
CC := gcc
endif
PKG_CONFIG ?= pkg-config
INSTALL    ?= install
PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
MANDIR     ?= $(PREFIX)/share/man
UNITDIR    ?= $(PREFIX)/lib/systemd/system

comma := ,
SAN   ?=
BUILD ?= build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))

# CFLAGS, CPPFLAGS and LDFLAGS belong to the packager: ours stand beside them.
CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Wundef -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	   -Wpointer-arith -Wwrite-strings -Wshadow -Wformat=2 -Wno-format-nonliteral
HARDEN  := -fPIE -fstack-protector-strong $(if $(SAN),,-D_FORTIFY_SOURCE=2)
SANFLAG := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)

NEEDS_LIBS := $(filter-out deps clean format help,$(or $(MAKECMDGOALS),all))
ifneq ($(NEEDS_LIBS),)
LIB_CFLAGS := $(shell $(PKG_CONFIG) --cflags libevent libturbojpeg jansson libbsd)
LIB_LDLIBS := $(shell $(PKG_CONFIG) --libs libevent_core libevent_extra libturbojpeg jansson \
	      libbsd) -lyuv
endif

ALL_CPPFLAGS = -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -Isrc $(LIB_CFLAGS) $(CPPFLAGS)
ALL_CFLAGS   = -std=gnu11 -pthread $(WARN) $(HARDEN) $(SANFLAG) $(CFLAGS)
ALL_LDFLAGS  = -pthread -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SANFLAG) $(LDFLAGS)

SRC   := $(sort $(wildcard src/*.c src/capture/*.c src/convert/*.c src/encoder/*.c src/http/*.c))
OBJ   := $(SRC:%.c=$(BUILD)/%.o)
LIB   := $(filter-out $(BUILD)/src/main.o,$(OBJ))
UNIT  := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZ  := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
BENCH := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(sort $(wildcard tests/bench/*.c)))

ifeq ($(V),)
Q    := @
SAY  = @echo "  $(1)	$(2:$(BUILD)/%=%)"
else
SAY  = @:
endif

all: $(BUILD)/hdmicast

$(BUILD)/hdmicast: $(OBJ)
	$(call SAY,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LDLIBS) $(LDLIBS)

$(BUILD)/%.o: %.c
	$(call SAY,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The page is built into the program; .incbin is not seen by -MMD.
$(BUILD)/src/http/page.o: $(wildcard src/http/page/*)

# Vector loops over whole pictures: -O2 of gcc 12 does not vectorise them enough.
$(BUILD)/src/convert/%.o: CFLAGS += -O3

$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(LIB)
	$(call SAY,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(shell $(PKG_CONFIG) --libs cmocka) $(LIB_LDLIBS) $(LDLIBS)

$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(LIB)
	$(call SAY,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LDLIBS) $(LDLIBS)

# Fuzzers need clang's libFuzzer, so they get a build of everything of their own.
build/fuzz/%: tests/fuzz/%.c $(filter-out src/main.c,$(SRC))
	$(call SAY,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)clang -std=gnu11 -O1 -g -pthread $(ALL_CPPFLAGS) -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -o $@ $^ $(LIB_LDLIBS)

include $(wildcard tests/fake/fake.mk)

-include $(OBJ:.o=.d)
-include $(UNIT:$(BUILD)/unit/%=$(BUILD)/tests/unit/%.d)
