#!/bin/bash
# plant.sh: a deliberate fault in each device function turns its row of the table red. The fault is put into a copy of the .cu
# file, built for the emulated device, and test_cuda is run over it. One TAP line a fault.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=build/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# plant TEST FILE SED: the sed must change the file, and TEST must fail.
plant() {
    local test=$1 file=kernels/cuda/$2 change=$3 name=$2
    sed -E "$change" "$file" > "$work/planted.cu"
    if cmp -s "$file" "$work/planted.cu"; then echo "not ok $name: the fault for $test changes nothing"; return; fi
    if ! g++ -x c++ -std=gnu++20 -O2 -fPIC -fvisibility=hidden -U_FORTIFY_SOURCE -ffp-contract=off -I. -include kernels/emu/emu.h -c "$work/planted.cu" -o "$work/planted.o" 2> "$work/log"; then
        echo "not ok $name: the fault for $test does not compile"
        return
    fi
    local others
    mapfile -t others < <(find "$build/emu" -name '*.o' ! -name "${name%.cu}.o")
    g++ -shared "${others[@]}" "$work/planted.o" -lm -o "$work/driver.so"
    HOLD_TEST_DRIVER=$work/driver.so CMOCKA_MESSAGE_OUTPUT=tap timeout 120 "$build/tests/kernels/test_cuda" > "$work/out" 2>&1
    if grep -qE "^not ok .*$test" "$work/out"; then echo "ok a fault in $test ($name) is seen"; else echo "not ok a fault in $test ($name) is not seen"; fi
}

plant rmsnorm_agrees norm.cu 's/squares \+= v \* v/squares += v/'
plant layernorm_agrees norm.cu 's/\(get\(a.x, row, col\) - mean\) \* scale \*/get(a.x, row, col) * scale */'
plant add_agrees act.cu 's/get\(a.a, row, col\) \+ get/get(a.a, row, col) - get/'
plant swiglu_agrees act.cu 's/expf\(-g\)/expf(g)/'
plant gelu_agrees act.cu 's/erff\(x \* 0.70710678118654752440f\)/tanhf(0.7978845608f * (x + 0.044715f * x * x * x))/'
plant convert_agrees quant.cu 's/get\(a.a, row, col\)/get(a.a, row, 0)/'
plant gather_rows_agrees embed.cu 's/int id = get_int\(a.b, row, 0\)/int id = (int) row/'
plant matmul_agrees matmul.cu 's/sum \+= x_tile\[ty\]\[i\] \* w_tile\[tx\]\[i\]/sum += x_tile[ty][i] * w_tile[i][tx]/'
plant matmul_agrees matmul.cu 's/far = 16; far; far/far = 16; far > 1; far/'
plant matmul_agrees matmul.cu 's/a.b.data \? get\(a.b, 0, out\) : 0.0f/0.0f/'
plant rope_angles_agrees rope.cu 's/put\(a.cs, row, j, cosf/put(a.cs, row, j, sinf/'
plant rope_agrees rope.cu 's/a.is_halves \? j : 2 \* j/j/'
plant rope_agrees rope.cu 's/q \* c \+ p \* s/q * c - p * s/'
plant kv_append_agrees attn.cu 's/\[keys \+ i\] = narrow_bf16\(get\(a.k/[keys + i] = narrow_bf16(get(a.v/'
plant attend_agrees attn.cu 's/head \/ \(a.q.cols \/ dim \/ a.kv.n_kv_heads\)/head % a.kv.n_kv_heads/'
plant attend_agrees attn.cu 's/r.acc\[k\] \*= keep/r.acc[k] *= 1/'
plant attend_full_agrees attn.cu 's/score\[threadIdx.x\] = dot \* a.scale;/score[threadIdx.x] = dot;/'
plant add_position_agrees vision.cu 's/-0.75f \* z \+ 3.75f\) \* z - 6.0f/-0.5f * z + 2.5f) * z - 4.0f/'
plant topk_agrees topk.cu 's/id < other_id\)\)/id > other_id))/'
plant checksum_is checksum.cu 's/a.bytes - i \* 8 < 8 \?/a.bytes < 8 ?/'
