/* test.h - what every cmocka file includes first (cmocka wants its includes in this order). */
#ifndef HOLD_TESTS_UNIT_TEST_H
#define HOLD_TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HOLD_SMALL_CMOCKA
#include "tests/unit/small_cmocka.h"
#else
#include <cmocka.h>
#endif

#endif
