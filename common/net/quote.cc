// SPDX-License-Identifier: Apache-2.0
#include "common/net/quote.h"

#include <cstddef>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace berth {

std::string Quote(absl::string_view text) {
  constexpr std::size_t kLongest = 80;
  if (text.size() <= kLongest) return absl::StrCat("\"", absl::CEscape(text), "\"");
  return absl::StrCat("\"", absl::CEscape(text.substr(0, kLongest)), "\"...");
}

}  // namespace berth
