"""Compiled kernels of the scalar PICNN; no torch, no BLAS, no IO.

Every kernel has one signature, compiled when its module is imported, and sums in one written order:
the same input gives the same bits on every run, whatever the width of SIMD (on a processor with
fused multiply-add, which all x86-64 since 2013 and all 64-bit ARM have).
"""
