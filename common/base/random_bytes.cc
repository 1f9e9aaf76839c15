// SPDX-License-Identifier: Apache-2.0
#include "common/base/random_bytes.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace berth {

std::string RandomBytes(std::size_t size) {
  std::string bytes(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const ssize_t got = ::getrandom(bytes.data() + have, size - have, 0);
    if (got < 0 && errno != EINTR) std::abort();
    if (got > 0) have += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace berth
