// SPDX-License-Identifier: Apache-2.0
#include "controller/files/manifest/catalog.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "controller/files/manifest/fields.h"

namespace berth::files {

void Catalog::Seed(const std::string& file, ParsedObject object) {
  Hold(*files_.try_emplace(file).first, std::make_shared<const ParsedObject>(std::move(object)));
}

void Catalog::Put(Files::value_type& file, ParsedObject object) {
  const auto it = file.second.objects.find(object.key);
  if (it == file.second.objects.end() || (*it)->value != object.value) changed_.push_back(object.key);
  Hold(file, std::make_shared<const ParsedObject>(std::move(object)));
}

// From now on the file has that object, of that content.
void Catalog::Hold(Files::value_type& file, const Object& object) {
  auto& [name, content] = file;
  content.objects.erase(object->key);
  content.objects.insert(object);
  const auto before = in_force_.find(object->key);
  if (before != in_force_.end()) {
    if (*before->file != name) contested_[object->key].insert({name, *before->file});
    if (*before->file < name) return;
    in_force_.erase(before);
  }
  in_force_.insert({object, &name});
}

// From now on the file has it no more.
void Catalog::Drop(const std::string& name, const ObjectKey& key) {
  changed_.push_back(key);
  const auto others = contested_.find(key);
  if (others == contested_.end()) {
    in_force_.erase(key);
    return;
  }
  others->second.erase(name);
  const auto first = files_.find(*others->second.begin());
  if (others->second.size() == 1) contested_.erase(others);
  const Object object = *first->second.objects.find(key);
  in_force_.erase(key);
  in_force_.insert({object, &first->first});
}

void Catalog::Update(const std::string& file_name, ParsedFile parsed) {
  auto& entry = *files_.try_emplace(file_name).first;
  File& file = entry.second;
  file.whole = parsed.whole;
  file.problems = std::move(parsed.problems);
  file.other_kinds = std::move(parsed.other_kinds);
  if (!parsed.whole) return;
  const bool doubtful = parsed.nameless || !parsed.wrong.empty();
  std::set<ObjectKey> stay = std::move(parsed.wrong);
  for (ParsedObject& object : parsed.objects) {
    stay.insert(object.key);
    Put(entry, std::move(object));
  }
  // A file with a problem may be half-written, or its problem one of those that seem to be missing: it deletes nothing.
  if (doubtful) return;
  if (stay.size() == file.objects.size()) return;  // they are all in it
  std::vector<Object> gone;
  for (const Object& object : file.objects) {
    if (stay.count(object->key) == 0) gone.push_back(object);
  }
  for (const Object& object : gone) {
    Drop(file_name, object->key);
    file.objects.erase(object->key);
  }
}

void Catalog::Remove(const std::string& file_name) {
  auto it = files_.find(file_name);
  if (it == files_.end()) return;
  for (const Object& object : it->second.objects) Drop(file_name, object->key);
  files_.erase(it);
}

std::vector<std::string> Catalog::files() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : files_) names.push_back(name);
  return names;
}

std::shared_ptr<const ParsedObject> Catalog::Find(const ObjectKey& key) const {
  auto it = in_force_.find(key);
  return it == in_force_.end() ? nullptr : it->object;
}

std::string Catalog::FileOf(const ObjectKey& key) const {
  auto it = in_force_.find(key);
  return it == in_force_.end() ? "" : *it->file;
}

std::vector<ObjectKey> Catalog::TakeChanged() {
  std::vector<ObjectKey> changed = std::exchange(changed_, {});
  std::sort(changed.begin(), changed.end());
  changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
  return changed;
}

int Catalog::LineIn(const std::string& name, const ObjectKey& key) const {
  return (*files_.at(name).objects.find(key))->line;
}

std::vector<std::string> Catalog::Problems() const {
  std::map<std::string, std::vector<std::string>> by_file;
  for (const auto& [key, names] : contested_) {
    const std::string& first = *names.begin();
    for (const std::string& name : names) {
      if (name == first) continue;
      const std::string what = absl::StrCat(key.ToString(), ": is in ", first, ":", LineIn(first, key),
                                            " too, which is used; remove one of the two");
      by_file[name].push_back(ProblemText(name, LineIn(name, key), what));
    }
  }
  std::vector<std::string> all;
  for (const auto& [name, file] : files_) {
    for (const FileProblem& problem : file.problems) {
      std::string text = problem.text;
      const bool keeps = problem.key ? file.objects.count(*problem.key) != 0 : !file.objects.empty();
      if (keeps && !file.whole) absl::StrAppend(&text, " (what the file held before stays in force)");
      if (keeps && file.whole && problem.key) absl::StrAppend(&text, " (its last good version stays in force)");
      all.push_back(std::move(text));
    }
    for (std::string& text : by_file[name]) all.push_back(std::move(text));
  }
  return all;
}

std::map<std::string, std::string> Catalog::PoolsNotInForce() const {
  std::map<std::string, std::string> pools;
  for (const auto& [name, file] : files_) {
    for (const FileProblem& problem : file.problems) {
      if (!problem.key || problem.key->kind != ObjectKind::kPool || Find(*problem.key) != nullptr) continue;
      std::string& text = pools[problem.key->id.name];
      absl::StrAppend(&text, text.empty() ? "" : "; ", problem.text);
    }
  }
  return pools;
}

std::map<std::string, std::string> Catalog::OtherKinds() const {
  std::map<std::string, std::string> kinds;
  for (const auto& [name, file] : files_) {
    for (const auto& [kind, line] : file.other_kinds) kinds.emplace(kind, absl::StrCat(name, ":", line));
  }
  return kinds;
}

}  // namespace berth::files
