"""Small matrix products at the speed of the vector units: a register tile in LLVM vectors.

A product of two tables of phases, out = left^T right over 250 atoms, is what a structure factor
on a grid costs. Such products are too small for BLAS (packing and its threads cost more than they
bring), and loops that a compiler turns into vectors write every partial sum to memory. Here four
rows times up to 64 columns of the result stay in registers while the atoms stream by.

The width follows the processor: 16 lanes where it has AVX-512, otherwise 8. ``docs/performance.md``
has what each reaches.
"""

from __future__ import annotations

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

from ase_crystalnet._compute.options import JIT, njit

#: Columns come in blocks of this size.
BLOCK = 16
#: Rows of a tile.
ROWS = 4


def lanes() -> int:
    """Floats in a vector register of this processor, or of the one numba is told to compile for."""
    from numba import config

    features = config.CPU_FEATURES
    if features is None and config.CPU_NAME is None:
        return 16 if binding.get_host_cpu_features().get("avx512f", False) else 8
    return 16 if "+avx512f" in (features or "") else 8


LANES = lanes()
#: Blocks of columns in one tile: 4 x 4 of 32 registers, or 4 x 2 of 16.
WIDEST = 4 if LANES == 16 else 1


@intrinsic
def at(typingctx, array, offset):
    """Pointer to the element `offset` of the data of a float32 array."""
    signature = types.CPointer(types.float32)(array, types.intp)

    def codegen(context, builder, signature, arguments):
        data = arrayobj.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return signature, codegen


def tile(blocks: int):
    """Intrinsic: a tile of four rows times `blocks` x 16 columns.

    It sets out[r, c] = sum over k < n of left[k, r] right[k, c], and takes pointers to the first
    elements, the distances between successive k (or r, of `out`), and n > 0.
    """
    count = blocks * BLOCK // LANES

    @intrinsic
    def multiply(typingctx, left, left_step, right, right_step, out, out_step, n):
        pointer, integer = types.CPointer(types.float32), types.intp
        signature = types.void(pointer, integer, pointer, integer, pointer, integer, integer)

        def codegen(context, builder, signature, arguments):
            left, left_step, right, right_step, out, out_step, n = arguments
            vector = ir.VectorType(ir.FloatType(), LANES)
            integer = ir.IntType(64)
            lane = ir.VectorType(ir.IntType(32), LANES)
            fma = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(vector, [vector] * 3),
                f"llvm.fmuladd.v{LANES}f32",
            )
            before = builder.block
            loop = builder.append_basic_block("tile")
            after = builder.append_basic_block("tile.stored")
            builder.branch(loop)
            builder.position_at_end(loop)
            k = builder.phi(integer)
            k.add_incoming(integer(0), before)
            sums = [[builder.phi(vector) for _ in range(count)] for _ in range(ROWS)]
            start = builder.mul(k, right_step)
            columns = []
            for c in range(count):
                place = builder.gep(right, [builder.add(start, integer(LANES * c))])
                columns.append(builder.load(builder.bitcast(place, vector.as_pointer()), align=4))
            start = builder.mul(k, left_step)
            added = []
            for r in range(ROWS):
                value = builder.load(builder.gep(left, [builder.add(start, integer(r))]))
                one = builder.insert_element(
                    ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0)
                )
                value = builder.shuffle_vector(
                    one, ir.Constant(vector, ir.Undefined), ir.Constant(lane, [0] * LANES)
                )
                added.append(
                    [builder.call(fma, [value, columns[c], sums[r][c]]) for c in range(count)]
                )
            following = builder.add(k, integer(1))
            k.add_incoming(following, loop)
            for r in range(ROWS):
                for c in range(count):
                    sums[r][c].add_incoming(ir.Constant(vector, [0.0] * LANES), before)
                    sums[r][c].add_incoming(added[r][c], loop)
            builder.cbranch(builder.icmp_signed("<", following, n), loop, after)
            builder.position_at_end(after)
            for r in range(ROWS):
                for c in range(count):
                    offset = builder.add(builder.mul(out_step, integer(r)), integer(LANES * c))
                    place = builder.bitcast(builder.gep(out, [offset]), vector.as_pointer())
                    builder.store(added[r][c], place, align=4)
            return context.get_dummy_value()

        return signature, codegen

    return multiply


ONE, TWO, THREE, FOUR = (tile(min(blocks, WIDEST)) for blocks in (1, 2, 3, 4))


@njit(**JIT)
def product(left, right, first, last, extents, out):
    """Set out = left^T right, summed over the atoms first .. last - 1.

    Parameters
    ----------
    left, right, out
        (n, R), (n, C) and (R, C) float32, C order; C a multiple of 16.
    extents
        (R / 4,) how many blocks of 16 columns are made in each four rows; the rest is left alone.
    """
    n = last - first
    if n <= 0:
        out[:] = 0
        return
    left_step = left.shape[1]
    right_step = right.shape[1]
    out_step = out.shape[1]
    for p in range(extents.size):
        a = at(left, first * left_step + ROWS * p)
        done = 0
        while done < extents[p]:
            blocks = min(extents[p] - done, WIDEST)
            b = at(right, first * right_step + BLOCK * done)
            c = at(out, ROWS * p * out_step + BLOCK * done)
            if blocks == 4:
                FOUR(a, left_step, b, right_step, c, out_step, n)
            elif blocks == 3:
                THREE(a, left_step, b, right_step, c, out_step, n)
            elif blocks == 2:
                TWO(a, left_step, b, right_step, c, out_step, n)
            else:
                ONE(a, left_step, b, right_step, c, out_step, n)
            done += blocks
