// SPDX-License-Identifier: Apache-2.0
// tests/unit/controller/kube/certs/small_store.h -- objects by path, as an API server keeps them: create, get, and
// conditional writes. What a ScriptedApi answers with.
#ifndef BERTH_TESTS_UNIT_CONTROLLER_KUBE_CERTS_SMALL_STORE_H_
#define BERTH_TESTS_UNIT_CONTROLLER_KUBE_CERTS_SMALL_STORE_H_

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "controller/kube/client/api_client.h"

namespace berth::kube {

class SmallStore {
 public:
  std::map<std::string, nlohmann::json> objects;  // by path
  std::vector<std::string> writes;                // "update /api/v1/..."
  std::map<std::string, absl::Status> faults;     // by verb and path: what that ends with instead

  // As kubectl does it.
  void Put(const std::string& path, nlohmann::json object) {
    object["metadata"]["resourceVersion"] = absl::StrCat(++revision_);
    objects[path] = std::move(object);
  }

  absl::StatusOr<ApiResponse> Answer(const ApiRequest& request) {
    if (const auto fault = faults.find(absl::StrCat(request.verb, " ", request.path)); fault != faults.end()) {
      return fault->second;
    }
    if (request.method == Method::kGet) {
      const auto it = objects.find(request.path);
      if (it == objects.end()) return absl::NotFoundError("not found");
      return ApiResponse{200, it->second.dump()};
    }
    nlohmann::json body = nlohmann::json::parse(request.body);
    std::string path = request.path;
    if (request.method == Method::kPost) path += absl::StrCat("/", std::string(body["metadata"]["name"]));
    const auto it = objects.find(path);
    if (request.method == Method::kPost) {
      if (it != objects.end()) return absl::AlreadyExistsError("already exists");
    } else {
      if (it == objects.end()) return absl::NotFoundError("not found");
      if (body["metadata"]["resourceVersion"] != it->second["metadata"]["resourceVersion"]) {
        return absl::AbortedError("the object has been modified");
      }
      if (request.method == Method::kPatch) {
        nlohmann::json next = it->second;
        next.merge_patch(body);
        body = std::move(next);
      }
    }
    writes.push_back(absl::StrCat(request.verb, " ", request.path));
    Put(path, body);
    return ApiResponse{200, body.dump()};
  }

 private:
  int revision_ = 0;
};

}  // namespace berth::kube

#endif  // BERTH_TESTS_UNIT_CONTROLLER_KUBE_CERTS_SMALL_STORE_H_
