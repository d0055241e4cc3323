//! Clears the upper halves of the vector registers before a long run of SHA instructions.
//!
//! The SHA instructions of x86 have no AVX form. In a program built with AVX (`-C target-cpu=native`) the compiler mixes them
//! with AVX instructions without clearing the upper halves first, and on some processors each such switch costs as much as
//! a hundred instructions. One clear before the loop saves it.

/// Clears them where this build uses AVX; does nothing elsewhere.
#[inline]
pub(super) fn clear_upper_halves() {
    #[cfg(all(target_arch = "x86_64", target_feature = "avx"))]
    #[allow(unsafe_code)]
    // SAFETY: the build itself requires AVX, so the instruction exists. It touches no memory, and the compiler keeps nothing
    // in the upper halves across a call of it.
    unsafe {
        std::arch::x86_64::_mm256_zeroupper();
    }
}
