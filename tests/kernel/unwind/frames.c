/* frames.c: functions whose frames compilers make in as many ways as they know; each returns 32 bits. */
typedef unsigned long u64;
typedef unsigned int u32;

#define opaque(x) __asm__ volatile("" : "+r"(x))
#define apart __attribute__((noinline))

/* a + 1 */
apart u64 f_leaf(u32 a)
{
	return (u32)(a + 1);
}

/* the sum of i * ai */
apart u64 f_many(u32 a1, u32 a2, u32 a3, u32 a4, u32 a5, u32 a6, u32 a7, u32 a8, u32 a9, u32 a10)
{
	return (u32)(a1 + 2 * a2 + 3 * a3 + 4 * a4 + 5 * a5 + 6 * a6 + 7 * a7 + 8 * a8 + 9 * a9 + 10 * a10);
}

/* f_many(a, .., a) + f_leaf(a): stack arguments, and a value that lives across calls */
apart u64 f_calls(u32 a)
{
	u32 first = f_many(a, a, a, a, a, a, a, a, a, a);

	return (u32)(first + f_leaf(a));
}

/* n (n + 1) / 2, by recursion */
apart u64 f_recursive(u32 n)
{
	u32 rest;

	if (!n)
		return 0;
	rest = f_recursive(n - 1);
	opaque(rest);
	return (u32)(n + rest);
}

/* n (n - 1) / 2, by an array whose size nobody knows before */
apart u64 f_alloca(u32 n)
{
	u32 numbers[n + 1], sum = 0;

	for (u32 i = 0; i < n; i++)
		numbers[i] = f_leaf(i) - 1;
	for (u32 i = 0; i < n; i++)
		sum += numbers[i];
	return sum;
}

/* 3 a, by way of a variable at a multiple of 64 */
apart u64 f_aligned(u32 a)
{
	u32 three[16] __attribute__((aligned(64)));
	u32 *where = three;

	where[0] = where[1] = where[2] = a;
	opaque(where);
	return (u32)(f_leaf(where[0]) - 1 + where[1] + where[2]);
}

/* a, by way of a frame that is larger than an immediate */
apart u64 f_large(u32 a)
{
	volatile u32 room[1200];

	for (u32 i = 0; i < 1200; i += 400)
		room[i] = f_leaf(a);
	return (u32)(room[800] - 1);
}

/* f_leaf(2 a), by a jump where there is one */
apart u64 f_tail(u32 a)
{
	return f_leaf(a + a);
}

/* one of many, by a table of jumps where there is one */
apart u64 f_switch(u32 op, u32 a)
{
	switch (op) {
	case 0: return f_leaf(a);
	case 1: return f_tail(a);
	case 2: return f_calls(a);
	case 3: return f_aligned(a);
	case 4: return (u32)~a;
	case 5: return a >> 3;
	case 6: return (u32)(a * a);
	case 7: return f_recursive(a);
	case 8: return f_alloca(a);
	case 9: return (u32)(a + 77);
	default: return 0xdead;
	}
}

/* early ways out before and behind a call */
apart u64 f_early(u32 a)
{
	u32 b;

	if (a == 1)
		return 100;
	b = f_leaf(a);
	if (b == 3)
		return 200;
	return (u32)(f_leaf(b) + f_leaf(a));
}

static u64 (*const f_table[])(u32) = {f_leaf, f_tail, f_early};

/* called through a table */
apart u64 f_through(u32 which, u32 a)
{
	u64 (*const *table)(u32) = f_table;

	opaque(table);
	return (u32)table[which](a);
}
