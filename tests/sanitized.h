// SPDX-License-Identifier: Apache-2.0
// tests/sanitized.h -- whether a sanitizer watches: everything costs some twenty times as much then, and what is looked
// for is something else, so searches and crowds may be smaller.
#ifndef BERTH_TESTS_SANITIZED_H_
#define BERTH_TESTS_SANITIZED_H_

namespace berth {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace berth

#endif  // BERTH_TESTS_SANITIZED_H_
