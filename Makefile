# SPDX-License-Identifier: Apache-2.0
# The two commands are `make run` and `make test`; each installs what it lacks (scripts/packages.txt).
PREFIX = /usr/local
LIBDIR = lib
.PHONY: all build install run demo-imgforge test tidy format bench clean

all: build

build: ## release binary in build/bin/, libraries in build/lib/ and build/include/
	@scripts/build

install: build ## the same under $(DESTDIR)$(PREFIX); LIBDIR=lib/x86_64-linux-gnu as Debian has it
	@scripts/install "$(DESTDIR)$(PREFIX)" "$(PREFIX)" "$(LIBDIR)"

run: build ## Belfry watching itself and this host on http://127.0.0.1:9090
	@exec build/bin/belfry server

demo-imgforge: build ## imgforge at work, watched by Belfry with the files of deploy/imgforge; pictures, an origin, clients
	@exec scripts/demo-imgforge

test: ## everything: release, sanitizers, fuzz targets, scripts, integration, tidy
	@scripts/setup test
	@scripts/test

tidy: ## layers, banned functions, comments, layout
	@scripts/setup test
	@python3 tests/tidy/tidy.py

format: ## lays the sources out
	@scripts/setup test
	@git ls-files '*.c' '*.h' '*.cc' | xargs clang-format -i

clean:
	rm -rf build
