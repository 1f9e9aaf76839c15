// SPDX-License-Identifier: Apache-2.0
// common/base/random_bytes.h -- bytes that nobody can guess, for keys and nonces.
#ifndef BERTH_COMMON_BASE_RANDOM_BYTES_H_
#define BERTH_COMMON_BASE_RANDOM_BYTES_H_

#include <cstddef>
#include <string>

namespace berth {

// From the kernel (getrandom(2)). Any thread. Ends the process when the kernel has none, which it has by the time that
// programs run.
std::string RandomBytes(std::size_t size);

}  // namespace berth

#endif  // BERTH_COMMON_BASE_RANDOM_BYTES_H_
