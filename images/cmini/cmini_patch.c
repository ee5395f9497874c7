/*
 * cmini_patch.c: replacements of cmini.c's functions
 *
 * Each returns the low 32 bits of the original with the version above them. Nested and recursive
 * ones call the originals' names, so the calls pass the entry sites again. The version is
 * -DKLP_VERSION=<number>, or else the value of the absolute symbol KLP_VERSION at load time.
 */
#include "cmini.h"

#ifndef KLP_VERSION
extern const char KLP_VERSION[];
#endif

#define version ((u64)KLP_VERSION)
#define versioned(value) ((u64)low32(value) | version << 32)

traced u64 lp_c_leaf(u32 a)
{
	return versioned(a + 1);
}

traced u64 lp_c_nested(u32 a, u32 b)
{
	return versioned(cut(c_leaf(a)) + cut(c_leaf(b)));
}

traced u64 lp_c_recursive(u32 n)
{
	return versioned(n ? n + cut(c_recursive(n - 1)) : 0);
}

traced u64 lp_c_many(u32 a1, u32 a2, u32 a3, u32 a4, u32 a5, u32 a6, u32 a7, u32 a8, u32 a9, u32 a10)
{
	return versioned(a1 + 2 * a2 + 3 * a3 + 4 * a4 + 5 * a5 + 6 * a6 + 7 * a7 + 8 * a8 + 9 * a9 + 10 * a10);
}

traced u64 lp_c_loop(u32 n)
{
	u32 sum = 0;

	for (u32 i = n; i; i--) {
		sum += i;
		opaque(sum);
	}
	return versioned(sum);
}

/* The version in the upper half is that of the c_leaf that runs. */
traced u64 lp_c_tail(u32 a)
{
	return c_leaf(a + a);
}

/* "lp", NUL, version, four NULs */
traced u64 lp_c_show(char *buf)
{
	const char text[C_TEXT_SIZE] = {'l', 'p', 0, (char)version};

	for (u32 i = 0; i < C_TEXT_SIZE; i++)
		buf[i] = text[i];
	return versioned(0);
}

traced u64 lp_c_double(u32 a)
{
	return versioned(a + a);
}

traced u64 lp_c_triple(u32 a)
{
	return versioned(a + a + a);
}

traced u64 lp_c_switch(u32 op, u32 a)
{
	switch (op) {
	case 0:
		return versioned(cut(c_leaf(a)));
	case 1:
		return versioned(a - 1);
	case 2:
		return versioned(cut(c_double(a)));
	case 3:
		return versioned(~a);
	case 4:
		return versioned(cut(c_triple(a)));
	case 5:
		return versioned(a >> 3);
	case 6:
		return versioned(a * a);
	default:
		return versioned(0xdead);
	}
}

extern u64 (*const c_operations[C_OPS])(u32 a);

traced u64 lp_c_table(u32 index, u32 a)
{
	return versioned(cut(c_operations[index % C_OPS](a)));
}

/* Shares the original's counter: a patch does not start again from 0. */
traced u64 lp_c_count(u32 step)
{
	u64 before = c_calls;

	c_calls = before + step;
	return versioned(before);
}
