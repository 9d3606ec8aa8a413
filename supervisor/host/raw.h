/* raw.h - system calls that touch nothing but their arguments. Floor: host.
 *
 * For a child that shares process 1's memory until its exec: the C library's wrappers write errno, which is process 1's own.
 * The result is the kernel's: -errno on failure. Numbers: <sys/syscall.h>. x86-64 and arm64, as the rest of the house. */
#ifndef HOLD_HOST_RAW_H
#define HOLD_HOST_RAW_H

#include <sys/syscall.h>

#if defined(__x86_64__)
static inline long hold_raw(long number, long a, long b, long c, long d) {
    register long r10 __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline long hold_raw(long number, long a, long b, long c, long d) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#else
#error "raw.h knows x86-64 and arm64"
#endif

#endif
