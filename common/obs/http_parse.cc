// SPDX-License-Identifier: Apache-2.0
#include "common/obs/http_parse.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace berth {
namespace {

// tchar of RFC 9110, 5.6.2: what methods and header names are made of.
bool IsToken(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("!#$%&'*+-.^_`|~", c);
  });
}

bool IsTarget(absl::string_view text) {
  return absl::StartsWith(text, "/") && std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isgraph(static_cast<unsigned char>(c));
         });
}

// "HTTP/1.x" gives its minor digit; another well-formed version 505, else 400.
std::variant<char, HttpRefused> MinorVersion(absl::string_view text) {
  const auto is_digit = [](char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); };
  if (text.size() != 8 || !absl::StartsWith(text, "HTTP/") || !is_digit(text[5]) || text[6] != '.' ||
      !is_digit(text[7])) {
    return HttpRefused{400};
  }
  if (text[5] != '1') return HttpRefused{505};
  return text[7];
}

// Position and length of the empty line that ends the head: CRLF CRLF, or bare LFs (RFC 9112, 2.2, lets us).
std::pair<std::size_t, std::size_t> FindEnd(absl::string_view bytes) {
  for (std::size_t at = bytes.find('\n'); at != absl::string_view::npos; at = bytes.find('\n', at + 1)) {
    const absl::string_view rest = bytes.substr(at + 1);
    if (absl::StartsWith(rest, "\r\n")) return {at, 3};
    if (absl::StartsWith(rest, "\n")) return {at, 2};
  }
  return {absl::string_view::npos, 0};
}

// Takes one header line into `head`; false if it is none.
bool ReadHeader(absl::string_view line, HttpHead& head) {
  const std::size_t colon = line.find(':');
  if (colon == absl::string_view::npos || !IsToken(line.substr(0, colon))) return false;
  const absl::string_view name = line.substr(0, colon);
  const absl::string_view value = absl::StripAsciiWhitespace(line.substr(colon + 1));
  if (absl::EqualsIgnoreCase(name, "connection")) {
    for (absl::string_view option : absl::StrSplit(value, ',')) {
      option = absl::StripAsciiWhitespace(option);
      if (absl::EqualsIgnoreCase(option, "close")) head.keep_alive = false;
      if (absl::EqualsIgnoreCase(option, "keep-alive")) head.keep_alive = true;
    }
  } else if (absl::EqualsIgnoreCase(name, "transfer-encoding")) {
    head.has_body = true;
  } else if (absl::EqualsIgnoreCase(name, "content-length")) {
    head.has_body = head.has_body || value != "0";
  }
  return true;
}

}  // namespace

HttpParseResult ParseHttpHead(absl::string_view bytes, std::size_t max_head) {
  const auto [end, end_size] = FindEnd(bytes.substr(0, max_head));
  if (end == absl::string_view::npos) {
    if (bytes.size() >= max_head) return HttpRefused{431};
    return HttpIncomplete{};
  }
  HttpHead head;
  head.size = end + end_size;
  std::vector<absl::string_view> lines = absl::StrSplit(bytes.substr(0, end), '\n');
  for (absl::string_view& line : lines) line = absl::StripSuffix(line, "\r");

  const std::vector<absl::string_view> words = absl::StrSplit(lines.front(), ' ');
  if (words.size() != 3 || !IsToken(words[0]) || !IsTarget(words[1])) return HttpRefused{400};
  const std::variant<char, HttpRefused> minor = MinorVersion(words[2]);
  if (const auto* refused = std::get_if<HttpRefused>(&minor)) return *refused;
  head.keep_alive = std::get<char>(minor) != '0';
  head.method = std::string(words[0]);
  const std::pair<absl::string_view, absl::string_view> target = absl::StrSplit(words[1], absl::MaxSplits('?', 1));
  head.path = std::string(target.first);
  head.query = std::string(target.second);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    if (!ReadHeader(lines[i], head)) return HttpRefused{400};
  }
  return head;
}

}  // namespace berth
