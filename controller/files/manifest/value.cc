// SPDX-License-Identifier: Apache-2.0
#include "controller/files/manifest/value.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::files {
namespace {

constexpr std::size_t kMostBlockBytes = 64 * 1024;

// The key that two members share, or empty. Small maps are by far the most: they are compared pairwise.
absl::string_view FindTwice(const std::vector<Value>& members) {
  if (members.size() <= 16) {
    for (std::size_t i = 1; i < members.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (members[i].key == members[j].key) return members[i].key;
      }
    }
    return {};
  }
  std::vector<absl::string_view> keys;
  keys.reserve(members.size());
  for (const Value& member : members) keys.push_back(member.key);
  std::sort(keys.begin(), keys.end());
  auto it = std::adjacent_find(keys.begin(), keys.end());
  return it == keys.end() ? absl::string_view() : *it;
}

std::size_t Size(const Value& value) {
  std::size_t size = 1;
  for (const Value& child : value.children) size += Size(child);
  return size;
}

std::size_t Depth(const Value& value) {
  std::size_t below = 0;
  for (const Value& child : value.children) below = std::max(below, Depth(child));
  return below + 1;
}

}  // namespace

const Value* Value::Find(absl::string_view name) const {
  if (kind != Kind::kMap) return nullptr;
  for (const Value& child : children) {
    if (child.key == name) return &child;
  }
  return nullptr;
}

absl::string_view KindWords(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::kNull:
      return "null";
    case Value::Kind::kBool:
      return "a boolean";
    case Value::Kind::kInt:
      return "a number";
    case Value::Kind::kFloat:
      return "a fraction";
    case Value::Kind::kString:
      return "a string";
    case Value::Kind::kList:
      return "a list";
    case Value::Kind::kMap:
      return "a map";
  }
  return "unknown";
}

absl::string_view TextArena::Add(absl::string_view text) {
  if (text.empty()) return {};
  if (text.size() > left_) {
    const std::size_t size = std::max(block_bytes_, text.size());
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
    block_bytes_ = std::min(2 * block_bytes_, kMostBlockBytes);
    at_ = blocks_.back().get();
    left_ = size;
  }
  std::memcpy(at_, text.data(), text.size());
  const absl::string_view kept(at_, text.size());
  at_ += text.size();
  left_ -= text.size();
  return kept;
}

bool TreeBuilder::expects_key() const {
  return !frames_.empty() && frames_.back().value.kind == Value::Kind::kMap && !frames_.back().has_key;
}

absl::Status TreeBuilder::Count(std::size_t more) {
  count_ += more;
  if (count_ <= kMaxValues) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("more than ", kMaxValues, " values in one file, spread them over several"));
}

absl::Status TreeBuilder::Scalar(Value::Kind kind, absl::string_view text, int line) {
  if (expects_key()) {
    if (text == "<<" && kind == Value::Kind::kString) {
      return absl::InvalidArgumentError("merge key \"<<\" is not supported, write the fields out");
    }
    frames_.back().pending_key = out_.arena.Add(text);
    frames_.back().has_key = true;
    return absl::OkStatus();
  }
  Value value;
  value.kind = kind;
  value.line = line;
  value.text = out_.arena.Add(text);
  return Put(std::move(value));
}

absl::Status TreeBuilder::Start(Value::Kind kind, int line) {
  if (expects_key()) return absl::InvalidArgumentError("a key must be a plain word, not a list or a map");
  if (frames_.size() >= kMaxDepth) {
    return absl::InvalidArgumentError(absl::StrCat("nested deeper than ", kMaxDepth, " levels"));
  }
  Frame& frame = frames_.emplace_back();
  frame.value.kind = kind;
  frame.value.line = line;
  frame.first_child = stack_.size();
  return absl::OkStatus();
}

absl::Status TreeBuilder::End() {
  Frame frame = std::move(frames_.back());
  frames_.pop_back();
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(frame.first_child);
  frame.value.children.assign(std::make_move_iterator(first), std::make_move_iterator(stack_.end()));
  stack_.erase(first, stack_.end());
  if (frame.value.kind == Value::Kind::kMap) frame.value.twice = FindTwice(frame.value.children);
  return Put(std::move(frame.value));
}

absl::Status TreeBuilder::Copy(const Value& value, int line) {
  if (expects_key()) {
    if (!value.children.empty()) return absl::InvalidArgumentError("a key must be a plain word, not a list or a map");
    return Scalar(value.kind, value.text, line);
  }
  if (frames_.size() + Depth(value) > kMaxDepth) {
    return absl::InvalidArgumentError(absl::StrCat("nested deeper than ", kMaxDepth, " levels"));
  }
  if (absl::Status counted = Count(Size(value)); !counted.ok()) return counted;
  Value copy = value;
  copy.line = line;
  return Put(std::move(copy));
}

absl::Status TreeBuilder::Put(Value value) {
  if (frames_.empty()) {
    value.key = {};
    if (out_.roots.size() >= kMaxDocuments) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxDocuments, " documents in one file"));
    }
    out_.roots.push_back(std::move(value));
    return Count(1);
  }
  Frame& frame = frames_.back();
  value.key = frame.pending_key;
  frame.pending_key = {};
  frame.has_key = false;
  stack_.push_back(std::move(value));
  return Count(1);
}

}  // namespace berth::files
