# holdfast: one Makefile, a small rules.mk in each folder, no recursion. `make help` lists the targets.
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash

PREFIX     ?= /opt/holdfast
SYSCONFDIR ?= /etc
DESTDIR    ?=
VARIANT    ?= release
CROSS      ?=
V          ?=
BUILD      := build/$(VARIANT)
THIRD      := build/third
VERSION    := $(shell cat VERSION)

ifeq ($(origin CC),default)
CC := $(CROSS)gcc
endif
AR      := $(CROSS)ar
HOSTCC  ?= gcc
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)';)
IS_GCC  := $(if $(findstring clang,$(CC)),,y)
ARCH    := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))

# Warnings are errors in CI only (CI=true), so that a user with a newer compiler can build.
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wconversion \
        -Wswitch-enum -Wundef -Wcast-qual -Wnull-dereference -Wimplicit-fallthrough -Wwrite-strings -Wpointer-arith \
        -Wno-sign-conversion -Wno-missing-field-initializers \
        $(if $(IS_GCC),-Wduplicated-cond -Wlogical-op,-Wno-gnu-zero-variadic-macro-arguments) $(if $(CI),-Werror)
HARDEN := -fstack-protector-strong -fstack-clash-protection -fno-delete-null-pointer-checks -fno-strict-overflow \
          $(if $(IS_GCC),-ftrivial-auto-var-init=zero) $(if $(filter x86_64,$(ARCH)),-fcf-protection)
LINK   := -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code -Wl,--as-needed

ifeq ($(VARIANT),asan)
MODE := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
MODE_LINK := -fsanitize=address,undefined
else ifeq ($(VARIANT),tsan)
MODE := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
MODE_LINK := -fsanitize=thread
else ifeq ($(VARIANT),fuzz)
MODE := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
MODE_LINK := -fsanitize=address,undefined
else
MODE := -O2 -g -D_FORTIFY_SOURCE=3
endif
# Static process 1 has the shortest start window for signals; a sanitizer needs the dynamic loader.
STATIC ?= $(if $(filter release,$(VARIANT)),y)

CSTD     := -std=gnu2x
CPPFLAGS += -I. -I$(BUILD)/gen -D_GNU_SOURCE -DHOLD_VERSION='"$(VERSION)"' -DHOLD_PREFIX='"$(PREFIX)"' -DHOLD_SYSCONFDIR='"$(SYSCONFDIR)"'
CFLAGS   += $(CSTD) $(MODE) $(WARN) $(HARDEN) -fPIE -ffp-contract=off
LDFLAGS  += $(LINK) $(MODE_LINK)

# $(call objects,folder): the objects of the .c files that lie directly in a folder.
objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)/*.c))
# $(call quiet pattern of a link): $(call link,output,objects and libraries)
PROGRAMS :=

include base/rules.mk kernels/rules.mk supervisor/rules.mk runtime/rules.mk tests/rules.mk
include docker/rules.mk helm/rules.mk examples/rules.mk docs/rules.mk

all: $(PROGRAMS) ## build holdfast, holdfast-job and holdfast-runtime

$(BUILD)/.flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(STATIC)' | cmp -s - $@ || echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(STATIC)' > $@

$(BUILD)/%.o: %.c $(BUILD)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) $(CFLAGS_$(subst /,_,$*)) -MMD -MP -c $< -o $@

deps: ## install what building and running needs, by package name (root), or say what is missing
	@sh base/deps.sh run

asan: ## build with address and undefined-behaviour sanitizers into build/asan
	@$(MAKE) --no-print-directory VARIANT=asan all

tsan: ## build with the thread sanitizer into build/tsan
	@$(MAKE) --no-print-directory VARIANT=tsan all

PARTS ?= supervisor runtime
install: all ## install under DESTDIR and PREFIX (/opt/holdfast): programs, loader, libraries (PARTS=supervisor: no runtime)
	@sh base/install.sh '$(BUILD)' '$(DESTDIR)$(PREFIX)' '$(DESTDIR)$(SYSCONFDIR)' '$(PARTS)'

uninstall: ## remove what install put under DESTDIR and PREFIX
	rm -rf '$(DESTDIR)$(PREFIX)/bin/holdfast' '$(DESTDIR)$(PREFIX)'/bin/holdfast-* '$(DESTDIR)$(PREFIX)/libexec' '$(DESTDIR)$(PREFIX)/lib' '$(DESTDIR)$(PREFIX)/share/holdfast'

dist: ## a source archive of HEAD under build/
	@mkdir -p build && git archive --format=tar.gz --prefix=holdfast-$(VERSION)/ -o build/holdfast-$(VERSION).tar.gz HEAD && echo build/holdfast-$(VERSION).tar.gz

clean: ## remove build/
	rm -rf build

format: ## format C sources with clang-format
	clang-format -i $$(git ls-files '*.c' '*.h')

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST) | sort

FORCE:
PHONY := all deps asan tsan install uninstall dist clean format help FORCE
.PHONY: $(PHONY) run sabotage test check soak bench check-gpu fuzz lint layers cuda

-include $(shell [ -d $(BUILD) ] && find $(BUILD) -name '*.d')
