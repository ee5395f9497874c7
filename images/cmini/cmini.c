/* cmini.c: functions to trace and patch; what each returns stands above it. */
#include "cmini.h"

u64 c_calls; /* how far c_count has counted; .bss */

static u64 c_seed = 0x5eed; /* .data: changed by nobody, but the compiler may not know */

static const char *const c_names[C_OPS] = {"leaf", "double", "triple", "notrace"};

/* a + 1 */
traced u64 c_leaf(u32 a)
{
	return low32(a + 1);
}

/* c_leaf(a) + c_leaf(b) */
traced u64 c_nested(u32 a, u32 b)
{
	return low32(cut(c_leaf(a)) + cut(c_leaf(b)));
}

/* n == 0: 0; else n + c_recursive(n - 1) */
traced keep_calls u64 c_recursive(u32 n)
{
	return n ? low32(n + cut(c_recursive(n - 1))) : 0;
}

/* the sum of i * ai: register and stack arguments */
traced u64 c_many(u32 a1, u32 a2, u32 a3, u32 a4, u32 a5, u32 a6, u32 a7, u32 a8, u32 a9, u32 a10)
{
	return low32(a1 + 2 * a2 + 3 * a3 + 4 * a4 + 5 * a5 + 6 * a6 + 7 * a7 + 8 * a8 + 9 * a9 + 10 * a10);
}

/* n * (n + 1) / 2, by a loop of n */
traced u64 c_loop(u32 n)
{
	u32 sum = 0;

	for (u32 i = 1; i <= n; i++) {
		sum += i;
		opaque(sum);
	}
	return sum;
}

/* c_leaf(a + a), reached by a jump where the compiler makes one */
traced u64 c_tail(u32 a)
{
	return c_leaf(a + a);
}

/* 0; stores the 8 bytes "orig" + four NULs at buf */
traced u64 c_show(char *buf)
{
	static const char text[C_TEXT_SIZE] = "orig";

	for (u32 i = 0; i < C_TEXT_SIZE; i++)
		buf[i] = text[i];
	return 0;
}

/* the length of the name of operation `index`, which it copies to buf with its NUL; 0 if there is none */
traced u64 c_name(u32 index, char *buf)
{
	u32 length = 0;

	if (index >= C_OPS)
		return 0;
	for (const char *from = c_names[index]; (buf[length] = from[length]); length++)
		opaque(length);
	return length;
}

/* a ^ 0x55; no entry site */
notrace u64 c_notrace(u32 a)
{
	return a ^ 0x55;
}

/* 2 * a */
traced u64 c_double(u32 a)
{
	return low32(2 * a);
}

/* 3 * a */
traced u64 c_triple(u32 a)
{
	return low32(3 * a);
}

/* by op: 0 c_leaf(a), 1 a - 1, 2 c_double(a), 3 ~a, 4 c_triple(a), 5 a >> 3, 6 a * a, else 0xdead */
traced u64 c_switch(u32 op, u32 a)
{
	switch (op) {
	case 0:
		return cut(c_leaf(a));
	case 1:
		return low32(a - 1);
	case 2:
		return cut(c_double(a));
	case 3:
		return low32(~a);
	case 4:
		return cut(c_triple(a));
	case 5:
		return a >> 3;
	case 6:
		return low32(a * a);
	default:
		return 0xdead;
	}
}

u64 (*const c_operations[C_OPS])(u32 a) = {c_leaf, c_double, c_triple, c_notrace};

/* the result of operation `index % 4` on a, called through a table: c_leaf, c_double, c_triple, c_notrace */
traced u64 c_table(u32 index, u32 a)
{
	return cut(c_operations[index % C_OPS](a));
}

/* c_calls before, which grows by `step`; not atomic, so give it to one worker only */
traced u64 c_count(u32 step)
{
	u64 before = c_calls;

	c_calls = before + step;
	return low32(before);
}

/* a ^ 0x5eed: a local symbol, which a patch finds by its position */
static traced u64 c_static(u32 a)
{
	u64 seed = c_seed;

	opaque(seed);
	return low32(a ^ seed);
}

/* c_static(a) + 1 */
traced u64 c_through_static(u32 a)
{
	return low32(cut(c_static(a)) + 1);
}
