// SPDX-License-Identifier: Apache-2.0
// The head of an HTTP request, as anybody may send it: the head that is found ends where it says, does not depend on
// what follows, and is not there before its last byte.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <variant>

#include "common/obs/http_parse.h"

namespace berth {
namespace {

constexpr std::size_t kMaxHead = 256;  // small, so that inputs reach it

void Require(bool holds) {
  if (!holds) std::abort();
}

bool Same(const HttpHead& a, const HttpHead& b) {
  return a.method == b.method && a.path == b.path && a.query == b.query && a.keep_alive == b.keep_alive &&
         a.has_body == b.has_body && a.size == b.size;
}

void CheckHead(const std::string& bytes, const HttpHead& head) {
  Require(head.size <= bytes.size() && head.size <= kMaxHead);
  Require(!head.method.empty() && head.path.rfind('/', 0) == 0 && head.path.find('?') == std::string::npos);
  const HttpParseResult exact = ParseHttpHead(bytes.substr(0, head.size), kMaxHead);
  Require(std::holds_alternative<HttpHead>(exact) && Same(std::get<HttpHead>(exact), head));
  const HttpParseResult cut = ParseHttpHead(bytes.substr(0, head.size - 1), kMaxHead);
  Require(std::holds_alternative<HttpIncomplete>(cut));
  const std::string plain = head.method + " " + head.path + (head.query.empty() ? "" : "?" + head.query) +
                            (head.keep_alive ? " HTTP/1.1" : " HTTP/1.0") + "\r\n\r\n";
  const HttpParseResult again = ParseHttpHead(plain, plain.size());
  Require(std::holds_alternative<HttpHead>(again));
  const HttpHead& back = std::get<HttpHead>(again);
  Require(back.method == head.method && back.path == head.path && back.query == head.query &&
          back.keep_alive == head.keep_alive && back.size == plain.size());
}

void Check(const std::string& bytes) {
  const HttpParseResult result = ParseHttpHead(bytes, kMaxHead);
  if (const auto* head = std::get_if<HttpHead>(&result)) return CheckHead(bytes, *head);
  if (const auto* refused = std::get_if<HttpRefused>(&result)) {
    Require(refused->code == 400 || refused->code == 431 || refused->code == 505);
    return;
  }
  Require(bytes.size() < kMaxHead);  // no client waits for an answer for ever
}

}  // namespace
}  // namespace berth

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  berth::Check(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
