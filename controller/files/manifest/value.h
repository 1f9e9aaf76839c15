// SPDX-License-Identifier: Apache-2.0
// controller/files/manifest/value.h -- a manifest's text as a tree of values that know their lines, whether it was YAML
// or JSON.
//
//   absl::StatusOr<Documents> docs = ReadYaml(text);       // read_text.h
//   docs->roots[0].Find("kind")->text == "Eip"
#ifndef BERTH_CONTROLLER_FILES_MANIFEST_VALUE_H_
#define BERTH_CONTROLLER_FILES_MANIFEST_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth::files {

// One value. Texts are views into the arena of the Documents that own it.
struct Value {
  enum class Kind : std::uint8_t { kNull, kBool, kInt, kFloat, kString, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 0;             // counted from 1
  absl::string_view key;    // its name, when it is a member of a map
  absl::string_view text;   // a scalar as written; "true" or "false" for a bool
  absl::string_view twice;  // of a map: a key that it has more than once, or empty
  std::vector<Value> children;

  // The member of that name; nullptr when there is none or this is no map.
  const Value* Find(absl::string_view name) const;
};

// "a string", "a number", "a map", ...: for messages.
absl::string_view KindWords(Value::Kind kind);

// Texts that live as long as the arena, packed into blocks, the larger the more there are: most documents are small.
class TextArena {
 public:
  absl::string_view Add(absl::string_view text);

 private:
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* at_ = nullptr;
  std::size_t left_ = 0;
  std::size_t block_bytes_ = 1024;  // of the next one
};

// The documents of one file; a document without content is a kNull.
struct Documents {
  TextArena arena;
  std::vector<Value> roots;
};

// What a file may ask of us. A list of 50,000 Services has about two million values.
inline constexpr int kMaxDepth = 64;
inline constexpr std::size_t kMaxValues = 8'000'000;
inline constexpr std::size_t kMaxDocuments = 200'000;

// Builds Documents from a reader's events. In a map, scalars are taken by turns as key and as value. Errors of all:
// InvalidArgument saying what is wrong, without the line, when a limit above is passed or a key is not a scalar.
class TreeBuilder {
 public:
  explicit TreeBuilder(Documents* out) : out_(*out) {}

  absl::Status Scalar(Value::Kind kind, absl::string_view text, int line);
  absl::Status StartMap(int line) { return Start(Value::Kind::kMap, line); }
  absl::Status StartList(int line) { return Start(Value::Kind::kList, line); }
  // Ends the map or list begun last. Precondition: there is one.
  absl::Status End();
  // A value that was built already (what an alias stands for), with all its children.
  absl::Status Copy(const Value& value, int line);
  // The value completed last; valid until the next call.
  const Value& last() const { return stack_.empty() ? out_.roots.back() : stack_.back(); }
  bool expects_key() const;

 private:
  struct Frame {
    Value value;
    std::size_t first_child;  // in stack_
    absl::string_view pending_key;
    bool has_key = false;
  };
  absl::Status Start(Value::Kind kind, int line);
  absl::Status Put(Value value);
  absl::Status Count(std::size_t more);

  Documents& out_;
  std::vector<Frame> frames_;
  std::vector<Value> stack_;  // completed children of all open frames
  std::size_t count_ = 0;
};

}  // namespace berth::files

#endif  // BERTH_CONTROLLER_FILES_MANIFEST_VALUE_H_
