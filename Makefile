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
ifeq ($(origin AR),default)
AR := $(if $(filter %-gcc,$(CC)),$(CC:gcc=ar),ar)
endif
PKG_CONFIG ?= pkg-config
INSTALL    ?= install
PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man
UNITDIR    ?= $(PREFIX)/lib/systemd/system

# Where Debian's python3 looks: below /usr/local, each of its versions has a folder of its own.
PYVERSION   = $(if $(filter /usr,$(PREFIX)),3,$(shell /usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
PYTHONDIR  ?= $(PREFIX)/lib/python$(PYVERSION)/dist-packages

comma := ,
SAN   ?=
BUILD ?= build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))

# CFLAGS, CPPFLAGS and LDFLAGS belong to the packager: ours stand beside them.
CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Wundef -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	   -Wpointer-arith -Wwrite-strings -Wshadow -Wformat=2 -Wno-format-nonliteral
HARDEN  := -fPIE -fstack-protector-strong $(if $(SAN)$(findstring FORTIFY,$(CPPFLAGS)$(CFLAGS)),,-D_FORTIFY_SOURCE=2)
SANFLAG := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)

# libyuv is C++ with a C interface: shared, it brings libstdc++ and 1.6 MiB more RSS into the
# process; its archive needs neither. Packagers who want it shared say LIBYUV=-lyuv.
LIBYUV ?= -Wl,-Bstatic -lyuv -Wl,-Bdynamic

# Software H.264, for machines without an encoder in hardware. X264= builds without it.
X264 ?= 1

NEEDS_LIBS := $(filter-out deps clean format help model mutants,$(or $(MAKECMDGOALS),all))
ifneq ($(NEEDS_LIBS),)
LIB_CFLAGS := $(shell $(PKG_CONFIG) --cflags libevent libjpeg jansson libbsd $(if $(X264),x264)) \
	      $(if $(X264),-DWITH_X264)
LIB_LDLIBS := $(shell $(PKG_CONFIG) --libs libevent_core libevent_extra libjpeg jansson \
	      libbsd $(if $(X264),x264)) $(LIBYUV)
endif

ALL_CPPFLAGS = -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DVERSION='"$(VERSION)"' -Isrc $(LIB_CFLAGS) $(CPPFLAGS)
ALL_CFLAGS   = -std=gnu11 -pthread $(WARN) $(HARDEN) $(SANFLAG) $(VECTOR) $(CFLAGS)
ALL_LDFLAGS  = -pthread -pie -Wl,-z,relro,-z,now -Wl,--as-needed -Wl,--gc-sections $(SANFLAG) $(LDFLAGS)

SRC   := $(filter-out src/dump/%,$(sort $(wildcard src/*.c src/*/*.c src/*/*/*.c)))
SRC   := $(filter-out $(if $(X264),,src/encoder/x264.c),$(SRC))
OBJ   := $(SRC:%.c=$(BUILD)/%.o)
DUMP  := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard src/dump/*.c)) src/base/base64.c src/base/log.c src/base/window.c src/media/pixel_format.c \
	   src/shm/layout.c)
LIB   := $(filter-out $(BUILD)/src/main.o,$(OBJ))
UNIT  := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
PYTEST := $(BUILD)/python/writer
FUZZ  := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
BENCH := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(sort $(wildcard tests/bench/*.c)))
BENCH := $(filter-out $(if $(X264),,$(BUILD)/bench/x264),$(BENCH))

# libhdmicast-ring: what reads the shared memory, for programs of any kind (MIT). It shares no
# object with the daemon, whose code is not for shared libraries.
RING_SO       := libhdmicast-ring.so.1
RING_SRC      := src/shm/ring_reader.c src/shm/ring_attach.c src/shm/ring_watch.c
RING_CPPFLAGS = -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Isrc $(CPPFLAGS)
RING_CFLAGS   = -std=gnu11 -pthread $(WARN) $(HARDEN:-fPIE=-fPIC) $(SANFLAG) $(CFLAGS)
RING_LDFLAGS  = -shared -Wl,--version-script=src/shm/hdmicast-ring.map $(filter-out -pie,$(ALL_LDFLAGS))
RING_OBJ      := $(RING_SRC:%.c=$(BUILD)/pic/%.o)
RING_LIBS     := $(BUILD)/$(RING_SO) $(BUILD)/libhdmicast-ring.so $(BUILD)/libhdmicast-ring.a

ifeq ($(V),)
Q    := @
SAY  = @echo "  $(1)	$(2:$(BUILD)/%=%)"
else
SAY  = @:
endif

all: $(BUILD)/hdmicast $(BUILD)/hdmicast-dump $(RING_LIBS)

$(BUILD)/hdmicast: $(OBJ)
	$(call SAY,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LDLIBS) $(LDLIBS)

# The library as programs of others have it, so that it is used the way they use it.
$(BUILD)/hdmicast-dump: $(DUMP) $(BUILD)/libhdmicast-ring.a
	$(call SAY,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/%.o: %.c
	$(call SAY,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The page is built into the program; .incbin is not seen by -MMD.
$(BUILD)/src/http/page/page.o build/fuzz/obj/src/http/page/page.o: $(wildcard src/http/page/*)

# Loops over whole pictures: -O2 of gcc 12 vectorises too few of them.
$(BUILD)/src/convert/%.o: VECTOR := -ftree-vectorize $(if $(findstring clang,$(CC)),,-fvect-cost-model=dynamic)

$(BUILD)/pic/%.o: %.c
	$(call SAY,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(RING_CPPFLAGS) $(RING_CFLAGS) -MMD -MP -c -o $@ $<

# The names that are not the interface stay inside.
$(BUILD)/$(RING_SO): $(RING_OBJ) src/shm/hdmicast-ring.map
	$(call SAY,LINK,$@)
	$(Q)$(CC) $(RING_LDFLAGS) -Wl,-soname,$(RING_SO) -o $@ $(RING_OBJ) $(LDLIBS)

$(BUILD)/libhdmicast-ring.so: $(BUILD)/$(RING_SO)
	$(Q)ln -sf $(RING_SO) $@

$(BUILD)/libhdmicast-ring.a: $(RING_OBJ)
	$(call SAY,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

# Against the static library, so that they run from here.
$(BUILD)/examples/%: examples/%.c $(BUILD)/libhdmicast-ring.a
	$(call SAY,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -Isrc/shm $(CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

# A reader as any other, for the end-to-end tests.
$(BUILD)/e2e/ring_reader: $(BUILD)/tests/e2e/ring_reader.o $(BUILD)/libhdmicast-ring.a
	$(call SAY,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

# A test takes from it what it does not define itself.
$(BUILD)/unit/lib.a: $(LIB)
	$(call SAY,AR,$@)
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@
	$(Q)$(AR) rcsT $@ $^

$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/unit/lib.a
	$(call SAY,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(shell $(PKG_CONFIG) --libs cmocka) $(LIB_LDLIBS) $(LDLIBS)

$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(LIB)
	$(call SAY,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LDLIBS) $(LDLIBS)

$(BUILD)/stress/%: $(BUILD)/tests/stress/%.o $(LIB)
	$(call SAY,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LDLIBS) $(LDLIBS)

# What writes the rings that the tests of python/ read.
$(BUILD)/python/%: $(BUILD)/tests/python/%.o $(LIB)
	$(call SAY,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIB_LDLIBS) $(LDLIBS)

# Parts of hdmicast-dump, which the other tests do without.
$(BUILD)/unit/test_dump: $(BUILD)/src/dump/input.o $(BUILD)/src/dump/stats.o

# TurboJPEG is what conversion is measured against; the program itself does without.
$(BUILD)/unit/test_picture $(BUILD)/bench/convert: LIB_LDLIBS += -lturbojpeg

$(BUILD)/bench/x264: private LDLIBS += -lm

# Fuzzers need clang's libFuzzer, so they get a build of everything of their own.
FUZZ_FLAGS := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all

build/fuzz/obj/%.o: %.c
	$(call SAY,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)clang -std=gnu11 -pthread $(ALL_CPPFLAGS) $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<

build/fuzz/%: build/fuzz/obj/tests/fuzz/%.o $(patsubst %.c,build/fuzz/obj/%.o,$(filter-out src/main.c,$(SRC)))
	$(call SAY,LINK,$@)
	$(Q)clang -pthread -fsanitize=fuzzer,address,undefined -o $@ $^ $(LIB_LDLIBS)

-include $(patsubst %.c,build/fuzz/obj/%.d,$(SRC))

include $(wildcard tests/fake/fake.mk tests/clock/clock.mk)

# A reader of another word size than the writer. Without a compiler for it, its test says so.
$(BUILD)/unit/reader32: tests/unit/reader32.c tests/unit/ringlines.h $(RING_SRC) $(wildcard src/shm/*.h)
	$(call SAY,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@
	$(Q)if echo '#include <stdlib.h>' | $(CC) -m32 -x c -fsyntax-only - 2>/dev/null; then \
		$(CC) -m32 $(RING_CPPFLAGS) -std=gnu11 -pthread $(WARN) $(CFLAGS) -o $@ $(filter %.c,$^); fi

$(BUILD)/unit/test_ring32: | $(BUILD)/unit/reader32
$(BUILD)/tests/unit/test_ring32.o: private CPPFLAGS += -DREADER32='"$(abspath $(BUILD))/unit/reader32"'

# Many start themselves again with time that goes slower.
$(UNIT): | $(CLOCK_BUILD)/libtestclock.so

# They start themselves again on the fake devices.
$(BUILD)/unit/test_m2m $(BUILD)/unit/test_m2m_faults $(BUILD)/unit/test_m2m_import: | $(FAKE_BUILD)/libfakev4l2.so

# ---- use

# Debian 12. Built with the first line; the others are for `make check`, `bench` and `lint`.
DEPS_BUILD := gcc make pkg-config libevent-dev libjpeg62-turbo-dev libyuv-dev libjansson-dev libbsd-dev \
	      libx264-dev
DEPS_TEST  := libcmocka-dev libturbojpeg0-dev python3 python3-numpy curl ffmpeg v4l-utils chromium chromium-driver \
	      gcc-multilib clang libclang-rt-14-dev clang-tidy clang-format cppcheck valgrind mandoc shellcheck \
	      systemd procps iproute2 socat spin netcat-openbsd qemu-user ustreamer \
	      mpv gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
DEPS_VM    := qemu-system-x86 busybox-static cpio kmod bc xz-utils linux-source-6.1 linux-headers-amd64
APT        := $(if $(filter 0,$(shell id -u)),,sudo )apt-get -o DPkg::Lock::Timeout=600

deps:
	$(APT) update -qq
	DEBIAN_FRONTEND=noninteractive $(APT) install -y -qq --no-install-recommends \
		$(DEPS_BUILD) $(DEPS_TEST) $(DEPS_VM)

# A grabber if there is one, else the built-in test card.
GRABBER := $(firstword $(wildcard /dev/v4l/by-id/*-video-index0 /dev/video0))
RUN     ?= $(if $(GRABBER),--device $(GRABBER),--source testcard) --resolution 1280x720

run: $(BUILD)/hdmicast
	$< $(RUN)

install: all
	$(INSTALL) -Dm755 $(BUILD)/hdmicast $(DESTDIR)$(BINDIR)/hdmicast
	$(INSTALL) -Dm755 $(BUILD)/hdmicast-dump $(DESTDIR)$(BINDIR)/hdmicast-dump
	$(INSTALL) -Dm644 docs/hdmicast.1 $(DESTDIR)$(MANDIR)/man1/hdmicast.1
	$(INSTALL) -Dm644 docs/hdmicast-dump.1 $(DESTDIR)$(MANDIR)/man1/hdmicast-dump.1
	$(INSTALL) -Dm644 docs/hdmicast-ring.3 $(DESTDIR)$(MANDIR)/man3/hdmicast-ring.3
	$(INSTALL) -Dm644 src/shm/hdmicast-ring.h $(DESTDIR)$(INCLUDEDIR)/hdmicast-ring.h
	$(INSTALL) -Dm755 $(BUILD)/$(RING_SO) $(DESTDIR)$(LIBDIR)/$(RING_SO)
	ln -sf $(RING_SO) $(DESTDIR)$(LIBDIR)/libhdmicast-ring.so
	$(INSTALL) -Dm644 $(BUILD)/libhdmicast-ring.a $(DESTDIR)$(LIBDIR)/libhdmicast-ring.a
	$(INSTALL) -Dm644 python/hdmicast.py $(DESTDIR)$(PYTHONDIR)/hdmicast.py
	mkdir -p $(DESTDIR)$(LIBDIR)/pkgconfig
	sed -e 's,@LIBDIR@,$(LIBDIR),' -e 's,@INCLUDEDIR@,$(INCLUDEDIR),' -e 's,@VERSION@,$(VERSION),' \
		src/shm/hdmicast-ring.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/hdmicast-ring.pc
	chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/hdmicast-ring.pc
	for unit in hdmicast.service hdmicast@.service hdmicast.socket; do \
		mkdir -p $(DESTDIR)$(UNITDIR) && \
		sed 's,@BINDIR@,$(BINDIR),' systemd/$$unit >$(DESTDIR)$(UNITDIR)/$$unit && \
		chmod 644 $(DESTDIR)$(UNITDIR)/$$unit || exit 1; \
	done

clean:
	rm -rf build

help:
	@echo 'all       build/hdmicast, build/hdmicast-dump, the library'
	@echo 'deps      install what is needed to build and test (Debian)'
	@echo 'run       stream a grabber, or the test card when there is none'
	@echo 'check     every test: check-unit check-gates check-e2e check-vm'
	@echo 'check-long   end to end in full length, stress, model and mutants: an hour'
	@echo 'bench     measure against ustreamer'
	@echo 'bench-browser   measure the page in Chromium, BENCH_SECONDS (15) a path'
	@echo 'model     prove the protocol of the ring with spin'
	@echo 'stress    readers of rings that are stopped and killed, for STRESS_SECONDS (60)'
	@echo 'mutants   change single lines of the source and see the tests turn red'
	@echo 'lint      clang-tidy and cppcheck'
	@echo 'format    clang-format, in place'
	@echo 'fuzz      each fuzzer for FUZZ_SECONDS (30)'
	@echo 'install   DESTDIR= PREFIX=$(PREFIX)'

# ---- tests

FUZZ_SECONDS ?= 30

check: all
	tests/run

check-unit check-gates check-e2e check-vm: all
	tests/run $(@:check-%=%)

# What takes too long for each change: long windows, more clients, all lines; see CONTRIBUTING.md.
check-long: all
	E2E_LONG=1 tests/run e2e vm
	$(MAKE) stress model mutants

unit-binaries: $(UNIT) $(PYTEST)

# What a fuzzer finds worth keeping goes to build/fuzz/found; seeds are added to the tree by hand.
fuzz: $(FUZZ:build/fuzz/fuzz_%=fuzz-%)

fuzz-%: build/fuzz/fuzz_%
	mkdir -p build/fuzz/found/$*
	$< -max_total_time=$(FUZZ_SECONDS) -timeout=20 -artifact_prefix=build/fuzz/ -verbosity=0 \
		-print_final_stats=1 build/fuzz/found/$* tests/fuzz/corpus/$*

bench: all $(BENCH) $(BUILD)/fake/libfakev4l2.so
	tests/bench/run
	tests/bench/crowd
	tests/bench/h264
	$(BUILD)/bench/ring
	tests/bench/python

bench-browser: all $(BUILD)/fake/libfakev4l2.so
	tests/bench/browser

# The ring's protocol, all its states: a minute, 2.5 GiB of memory.
model:
	mkdir -p build/model
	cd build/model && spin -a ../../tests/model/ring.pml && $(CC) -O2 -o pan pan.c && ./pan -m1000000 | tee log
	@! grep -q -e 'errors: [1-9]' -e 'max search depth too small' build/model/log

STRESS_SECONDS ?= 60

stress: $(BUILD)/stress/ring
	$< $(STRESS_SECONDS) calm
	$< $(STRESS_SECONDS) rough

mutants:
	tests/mutants/run

lint:
	tests/lint

format:
	clang-format -i $(shell git ls-files 'src/*.[ch]' 'tests/*.[ch]' | grep -v -e src/slate/font.c -e src/settings/options.c)

.PHONY: all deps run install clean help check check-long check-unit check-gates check-e2e check-vm \
	unit-binaries fuzz bench bench-browser model stress mutants lint format
.SECONDARY:

-include $(OBJ:.o=.d) $(DUMP:.o=.d) $(RING_OBJ:.o=.d)
-include $(UNIT:$(BUILD)/unit/%=$(BUILD)/tests/unit/%.d) $(PYTEST:$(BUILD)/%=$(BUILD)/tests/%.d)
