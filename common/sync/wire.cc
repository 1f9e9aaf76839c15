// SPDX-License-Identifier: Apache-2.0
#include "common/sync/wire.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/net/quote.h"

namespace berth::sync {
namespace {

// Length of the UTF-8 character that `text` begins with, or 0 when it begins with none (RFC 3629: no overlong forms, no
// surrogates, nothing above U+10FFFF).
std::size_t CharacterLength(absl::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xc2 && lead <= 0xdf   ? 2
                             : lead >= 0xe0 && lead <= 0xef ? 3
                             : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                            : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;
  if (lead == 0xed && byte(1) > 0x9f) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

}  // namespace

std::string WireText(absl::string_view text, std::size_t max) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = CharacterLength(text);
    const std::size_t step = std::max<std::size_t>(length, 1);
    if (out.size() + step > max) break;
    if (length == 0) {
      out.push_back('?');
    } else {
      out.append(text.data(), length);
    }
    text.remove_prefix(step);
  }
  return out;
}

std::string WireName(absl::string_view text) {
  std::string out = WireText(text, kMaxNameBytes);
  std::replace_if(out.begin(), out.end(), IsControl, '?');
  return out;
}

std::string WireReader::Path::ToString() const {
  std::string out = parent == nullptr ? std::string(name) : absl::StrCat(parent->ToString(), ".", name);
  if (index >= 0) absl::StrAppend(&out, "[", index, "]");
  return out;
}

void WireReader::Fail(const Path& at, absl::string_view what) {
  if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrCat(at.ToString(), ": ", what));
}

IpAddr WireReader::Address(const Path& at, absl::string_view text) {
  const absl::StatusOr<IpAddr> address = IpAddr::Parse(text);
  if (address.ok()) return *address;
  Fail(at, address.status().message());
  return {};
}

MacAddr WireReader::Mac(const Path& at, absl::string_view text) {
  const absl::StatusOr<MacAddr> mac = MacAddr::Parse(text);
  if (mac.ok()) return *mac;
  Fail(at, mac.status().message());
  return {};
}

Cidr WireReader::Prefix(const Path& at, absl::string_view text) {
  const absl::StatusOr<Cidr> cidr = Cidr::Parse(text);
  if (cidr.ok()) return *cidr;
  Fail(at, cidr.status().message());
  return {};
}

std::string WireReader::Name(const Path& at, absl::string_view text) {
  if (text.empty()) Fail(at, "must not be empty");
  return NameOrEmpty(at, text);
}

std::string WireReader::NameOrEmpty(const Path& at, absl::string_view text) {
  if (text.size() > kMaxNameBytes) {
    Fail(at, absl::StrCat(text.size(), " bytes, at most ", kMaxNameBytes, " are allowed"));
    return {};
  }
  if (std::any_of(text.begin(), text.end(), IsControl)) Fail(at, absl::StrCat(Quote(text), " has a control character"));
  if (WireText(text, kMaxNameBytes) != text) Fail(at, absl::StrCat(Quote(text), " is not UTF-8"));
  return std::string(text);
}

std::string WireReader::Text(const Path& at, absl::string_view text) {
  if (text.size() > kMaxTextBytes) {
    Fail(at, absl::StrCat(text.size(), " bytes, at most ", kMaxTextBytes, " are allowed"));
    return {};
  }
  return std::string(text);
}

std::uint16_t WireReader::Port(const Path& at, std::uint32_t port) {
  if (port < 1 || port > 65535) Fail(at, absl::StrCat(port, " is not within 1 to 65535"));
  return static_cast<std::uint16_t>(port);
}

absl::Duration WireReader::Time(const Path& at, std::int64_t seconds, std::int32_t nanos) {
  // Out of these bounds it is no valid google.protobuf.Duration at all; within them nothing overflows.
  constexpr std::int64_t kMostSeconds = 315'576'000'000;
  constexpr std::int32_t kMostNanos = 999'999'999;
  const bool valid = seconds >= -kMostSeconds && seconds <= kMostSeconds && nanos >= -kMostNanos && nanos <= kMostNanos;
  const absl::Duration value = valid ? absl::Seconds(seconds) + absl::Nanoseconds(nanos) : absl::ZeroDuration();
  if (nanos < 0 || value < kMinDuration || value > kMaxDuration) {
    Fail(at, absl::StrCat(valid ? absl::FormatDuration(value) : "no valid duration", ", allowed is ",
                          absl::FormatDuration(kMinDuration), " to ", absl::FormatDuration(kMaxDuration)));
  }
  return value;
}

bool WireReader::CheckCount(const Path& at, std::size_t count, int max) {
  if (count > static_cast<std::size_t>(max)) {
    Fail(at, absl::StrCat(count, " entries, at most ", max, " are allowed"));
  }
  return ok();
}

}  // namespace berth::sync
