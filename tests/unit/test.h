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

#include <cmocka.h>

#endif
