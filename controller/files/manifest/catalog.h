// SPDX-License-Identifier: Apache-2.0
// controller/files/manifest/catalog.h -- all manifests of a folder taken together: which object is in force, and what
// is wrong. Pure.
//
//   Catalog catalog;
//   catalog.Update("web.yaml", ParseManifest("web.yaml", text));
//   for (const ObjectKey& key : catalog.TakeChanged()) Show(catalog.Find(key));
//
// Last good content: while a file cannot be read as a whole, all its objects stay as they were; while one object has a
// problem, that object does, and the others follow the file. Of an object that several files have, the first file by
// name counts.
#ifndef BERTH_CONTROLLER_FILES_MANIFEST_CATALOG_H_
#define BERTH_CONTROLLER_FILES_MANIFEST_CATALOG_H_

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "controller/files/manifest/manifest.h"

namespace berth::files {

class Catalog {
 public:
  // An object that `file` held when it was read well, known from an earlier life; to be followed by Update or Remove of
  // that file. Not counted as a change.
  void Seed(const std::string& file, ParsedObject object);
  // The file's new content.
  void Update(const std::string& file, ParsedFile parsed);
  // The file is gone, on purpose: its objects go with it.
  void Remove(const std::string& file);

  std::vector<std::string> files() const;
  // The object in force, or null. It may be kept, and stays as it is.
  std::shared_ptr<const ParsedObject> Find(const ObjectKey& key) const;
  // The file that object is in, or empty.
  std::string FileOf(const ObjectKey& key) const;
  // Keys whose object in force may be another than at the last call, sorted.
  std::vector<ObjectKey> TakeChanged();
  // By file name, then as found.
  std::vector<std::string> Problems() const;
  // Eips that some file has, though none in a good version, with their problems.
  std::map<std::string, std::string> PoolsNotInForce() const;
  // "apps/v1 Deployment" -> "web.yaml:7", the first.
  std::map<std::string, std::string> OtherKinds() const;

 private:
  using Object = std::shared_ptr<const ParsedObject>;
  struct InForce {
    Object object;
    const std::string* file = nullptr;  // a key of files_
  };
  // Sets of objects that are found by their key, without keeping it a second time.
  struct KeyOf {
    static const ObjectKey& Of(const ObjectKey& key) { return key; }
    static const ObjectKey& Of(const Object& object) { return object->key; }
    static const ObjectKey& Of(const InForce& entry) { return entry.object->key; }
  };
  struct Hash : KeyOf {
    using is_transparent = void;
    template <typename T>
    std::size_t operator()(const T& x) const {
      return absl::Hash<ObjectKey>()(Of(x));
    }
  };
  struct Same : KeyOf {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Of(a) == Of(b);
    }
  };
  struct File {
    absl::flat_hash_set<Object, Hash, Same> objects;
    std::vector<FileProblem> problems;
    std::map<std::string, int> other_kinds;
    bool whole = true;
  };
  using Files = std::map<std::string, File>;
  void Put(Files::value_type& file, ParsedObject object);
  void Hold(Files::value_type& file, const Object& object);
  void Drop(const std::string& name, const ObjectKey& key);
  int LineIn(const std::string& name, const ObjectKey& key) const;

  Files files_;
  absl::flat_hash_set<InForce, Hash, Same> in_force_;
  // Objects that several files have, with all of those files.
  std::map<ObjectKey, std::set<std::string>> contested_;
  std::vector<ObjectKey> changed_;
};

}  // namespace berth::files

#endif  // BERTH_CONTROLLER_FILES_MANIFEST_CATALOG_H_
