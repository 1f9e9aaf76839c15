// SPDX-License-Identifier: Apache-2.0
// CRDs that another installation left.
#include <catch2/catch.hpp>

#include "controller/kube/source/crd_fields.h"
#include "tests/system/kube/kube_world.h"

namespace berth::system {
namespace {

// One with every field that Berth knows but `without` ("status.conditions").
json Crd(const std::string& resource, const std::string& without = "") {
  const auto with = [&resource](json fields) -> json {
    const json version = {{"name", "v1alpha2"}, {"schema", {{"openAPIV3Schema", {{"properties", std::move(fields)}}}}}};
    return {{"apiVersion", "apiextensions.k8s.io/v1"},
            {"kind", "CustomResourceDefinition"},
            {"metadata", {{"name", resource + ".network.kubesphere.io"}}},
            {"spec", {{"versions", {version}}}}};
  };
  json fields = json::object();
  for (const std::string& field : kube::MissingFields(resource, with(json::object()))) {
    if (field == without) continue;
    const std::size_t dot = field.find('.');
    fields[field.substr(0, dot)]["properties"][field.substr(dot + 1)] = json::object();
  }
  return with(std::move(fields));
}

TEST_CASE("a field that one of the three CRDs lacks is named, and no longer once it is there", "[system]") {
  const auto [resource, field] = GENERATE(table<std::string, std::string>(
      {{"eips", "spec.nodeSelector"}, {"bgpconfs", "status.conditions"}, {"bgppeers", "status.conditions"}}));
  CAPTURE(resource);
  KubeWorld w;
  for (const std::string& each : kube::CrdResources()) w.Apply(Crd(each, each == resource ? field : ""));
  w.AddEip("pool", "192.168.50.50");
  w.AddService("web");
  w.StartController("one");
  CHECK(w.RunUntil([&] { return w.Assigned("web"); }));
  const auto problems = [&] { return w.controllers["one"]->runner.Status().problems; };
  CHECK(problems() == std::vector<std::string>{"Kubernetes: the CRD " + resource +
                                               ".network.kubesphere.io is an older one: what is written to " + field +
                                               " is lost; upgrade it with Berth's chart (value crds.install)"});
  w.Apply(Crd(resource));
  w.Run(absl::Seconds(11));
  CHECK(problems().empty());
}

TEST_CASE("a CRD that may not be read is named, and looked for again soon", "[system]") {
  KubeWorld w;
  w.server.Forbid("get", "customresourcedefinitions");
  w.StartController("one");
  w.Run(absl::Seconds(1));
  CHECK(w.controllers["one"]->runner.Status().problems.size() == 3);
  w.server.Permit("get", "customresourcedefinitions");
  w.Run(absl::Seconds(11));
  CHECK(w.controllers["one"]->runner.Status().problems.empty());
}

}  // namespace
}  // namespace berth::system
