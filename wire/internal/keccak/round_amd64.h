// One round of Keccak-f[1600], and the constants of all. Names are those of FIPS 202,
// section 3.2; VPTERNLOGQ $0x96 is a xor of three, $0xD2 is a ^ (^b & c).

#define PARITY(a, b, c, d, e, to) \
	VMOVDQA64  a, to            \
	VPTERNLOGQ $0x96, b, c, to  \
	VPTERNLOGQ $0x96, d, e, to

#define THETA(left, right, a, b, c, d, e, t) \
	VPROLQ     $1, right, t      \
	VPTERNLOGQ $0x96, t, left, a \
	VPTERNLOGQ $0x96, t, left, b \
	VPTERNLOGQ $0x96, t, left, c \
	VPTERNLOGQ $0x96, t, left, d \
	VPTERNLOGQ $0x96, t, left, e

#define CHI(a, b, c, d, e, t, u) \
	VMOVDQA64  a, t           \
	VMOVDQA64  b, u           \
	VPTERNLOGQ $0xD2, c, b, a \
	VPTERNLOGQ $0xD2, d, c, b \
	VPTERNLOGQ $0xD2, e, d, c \
	VPTERNLOGQ $0xD2, t, e, d \
	VPTERNLOGQ $0xD2, u, t, e

// ROUND has word i of the state in ai; the others are scratch. SI points to the
// round's constant. Theta, then rho and pi, by which 24 words move round one cycle,
// then chi a row at a time, and iota.
#define ROUND(a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, c0, c1, c2, c3, c4, t, u) \
	PARITY(a0, a5, a10, a15, a20, c0) \
	PARITY(a1, a6, a11, a16, a21, c1) \
	PARITY(a2, a7, a12, a17, a22, c2) \
	PARITY(a3, a8, a13, a18, a23, c3) \
	PARITY(a4, a9, a14, a19, a24, c4) \
	THETA(c4, c1, a0, a5, a10, a15, a20, t) \
	THETA(c0, c2, a1, a6, a11, a16, a21, t) \
	THETA(c1, c3, a2, a7, a12, a17, a22, t) \
	THETA(c2, c4, a3, a8, a13, a18, a23, t) \
	THETA(c3, c0, a4, a9, a14, a19, a24, t) \
	VMOVDQA64 a1, t \
	VPROLQ $44, a6, a1 \
	VPROLQ $20, a9, a6 \
	VPROLQ $61, a22, a9 \
	VPROLQ $39, a14, a22 \
	VPROLQ $18, a20, a14 \
	VPROLQ $62, a2, a20 \
	VPROLQ $43, a12, a2 \
	VPROLQ $25, a13, a12 \
	VPROLQ $8, a19, a13 \
	VPROLQ $56, a23, a19 \
	VPROLQ $41, a15, a23 \
	VPROLQ $27, a4, a15 \
	VPROLQ $14, a24, a4 \
	VPROLQ $2, a21, a24 \
	VPROLQ $55, a8, a21 \
	VPROLQ $45, a16, a8 \
	VPROLQ $36, a5, a16 \
	VPROLQ $28, a3, a5 \
	VPROLQ $21, a18, a3 \
	VPROLQ $15, a17, a18 \
	VPROLQ $10, a11, a17 \
	VPROLQ $6, a7, a11 \
	VPROLQ $3, a10, a7 \
	VPROLQ $1, t, a10 \
	CHI(a0, a1, a2, a3, a4, t, u) \
	CHI(a5, a6, a7, a8, a9, t, u) \
	CHI(a10, a11, a12, a13, a14, t, u) \
	CHI(a15, a16, a17, a18, a19, t, u) \
	CHI(a20, a21, a22, a23, a24, t, u) \
	VPXORQ.BCST (SI), a0, a0
