/* fatbin.S - the device code as bytes of the plug-in; HOLD_FATBIN is its file. Floor: kernels/cuda. */
    .section .rodata
    .balign 16
    .globl hold_cuda_fatbin
    .globl hold_cuda_fatbin_end
    .hidden hold_cuda_fatbin
    .hidden hold_cuda_fatbin_end
hold_cuda_fatbin:
    .incbin HOLD_FATBIN
hold_cuda_fatbin_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
