/*
 * cmini: the C part of a kernel in miniature, linked beside the assembly kernel of a port
 *
 * Boot, scheduler, workers, ftrace and the livepatch handler are assembly; workers call these
 * functions through do_one_call. docs/guest-kernel.md is the contract: a result is 32 bits,
 * zero-extended, arithmetic is modulo 2^32, and a caller cuts a callee's result to 32 bits,
 * because a replacement puts its version in the upper half.
 */
#ifndef CMINI_H
#define CMINI_H

typedef unsigned int u32;
typedef unsigned long u64;

/* A function that may be traced and patched: never inlined, and kept as written. */
#define traced __attribute__((noinline, used))

/* A function without an entry site. clang and GCC spell it alike. */
#define notrace __attribute__((noinline, used, no_instrument_function, patchable_function_entry(0)))

/* A recursion stays a call, so that each level passes the entry site. */
#ifdef __clang__
#define keep_calls __attribute__((disable_tail_calls))
#else
#define keep_calls __attribute__((optimize("no-optimize-sibling-calls")))
#endif

#define low32(value) ((u32)(value))

/* Hides a value from the optimizer, which else makes loops into formulas. */
#define opaque(value) __asm__ volatile("" : "+r"(value))

/* A callee's result, cut to 32 bits even where the compiler has seen that the callee's original has no more. */
static inline u32 cut(u64 result)
{
	u32 low = low32(result);

	opaque(low);
	return low;
}

enum { C_OPS = 4, C_TEXT_SIZE = 8 };

u64 c_leaf(u32 a);
u64 c_nested(u32 a, u32 b);
u64 c_recursive(u32 n);
u64 c_many(u32 a1, u32 a2, u32 a3, u32 a4, u32 a5, u32 a6, u32 a7, u32 a8, u32 a9, u32 a10);
u64 c_loop(u32 n);
u64 c_tail(u32 a);
u64 c_show(char *buf);
u64 c_name(u32 index, char *buf);
u64 c_switch(u32 op, u32 a);
u64 c_table(u32 index, u32 a);
u64 c_double(u32 a);
u64 c_triple(u32 a);
u64 c_count(u32 step);
u64 c_through_static(u32 a);
u64 c_notrace(u32 a);

extern u64 c_calls;

#endif
