// SPDX-License-Identifier: Apache-2.0
#include "controller/admission/review.h"

#include <catch2/catch.hpp>

#include "absl/strings/escaping.h"
#include "tests/unit/controller/admission/admission_testing.h"

namespace berth::admission {
namespace {

using nlohmann::json;

TEST_CASE("a review is read", "[unit]") {
  const Review review = *ParseReview(ReviewBody("UPDATE", "eips", Eip("192.0.2.1"), Eip("192.0.2.2")));
  CHECK(review.uid == "705ab4f5-6393-11e8-b7cc-42010a800002");
  CHECK(review.operation == "UPDATE");
  CHECK(review.group == "network.kubesphere.io");
  CHECK(review.resource == "eips");
  CHECK(review.name == "edge");
  CHECK((*review.object)["spec"]["address"] == "192.0.2.1");
  CHECK((*review.before)["spec"]["address"] == "192.0.2.2");
  CHECK(MakeReview("DELETE", "eips", nullptr, Eip("192.0.2.1")).object->empty());
}

TEST_CASE("what is no review is refused", "[unit]") {
  json v1beta1 = json::parse(ReviewBody("CREATE", "eips", Eip("192.0.2.1")));
  v1beta1["apiVersion"] = "admission.k8s.io/v1beta1";
  json no_uid = json::parse(ReviewBody("CREATE", "eips", Eip("192.0.2.1")));
  no_uid["request"].erase("uid");
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("[]"), std::string("{}"),
        std::string("{\"kind\": \"AdmissionReview\"}"), std::string("\xff"), v1beta1.dump(), no_uid.dump()}) {
    CAPTURE(body);
    CHECK(absl::IsInvalidArgument(ParseReview(body).status()));
  }
}

TEST_CASE("depth is limited, and brackets in strings do not count", "[unit]") {
  const auto nested = [](int depth) {
    return absl::StrCat(R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1",)",
                        R"("operation":"CREATE","object":{"a":)", std::string(static_cast<std::size_t>(depth), '['),
                        std::string(static_cast<std::size_t>(depth), ']'), "}}}");
  };
  CHECK(ParseReview(nested(97)).ok());
  CHECK_FALSE(ParseReview(nested(98)).ok());
  CHECK_FALSE(ParseReview(std::string(3000000, '[')).ok());
  json review = json::parse(ReviewBody("CREATE", "eips", Eip("192.0.2.1")));
  review["request"]["object"]["note"] = std::string(500, '[') + "\\\"" + std::string(500, '{');
  CHECK(ParseReview(review.dump()).ok());
}

TEST_CASE("an answer is what an API server expects", "[unit]") {
  const Review review = MakeReview("CREATE", "eips", Eip("192.0.2.1"));
  const json yes = json::parse(ReviewResponse(review, {}));
  CHECK(yes == json::parse(R"({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
    "response": {"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": true}})"));
  const json no = json::parse(ReviewResponse(review, Refused(absl::InvalidArgumentError("wrong"))))["response"];
  CHECK(no["allowed"] == false);
  CHECK(no["status"] == json({{"code", 403}, {"message", "wrong"}, {"reason", "Forbidden"}}));
  Verdict verdict;
  verdict.warnings = {"short", std::string(300, 'x')};
  verdict.patch = "[]";
  const json more = json::parse(ReviewResponse(review, verdict))["response"];
  CHECK(more["warnings"][0] == "short");
  CHECK(more["warnings"][1].get<std::string>().size() == 256);
  CHECK(more["patchType"] == "JSONPatch");
  CHECK(more["patch"] == absl::Base64Escape("[]"));
}

TEST_CASE("paths are those of the webhook configurations, and each takes its own kind only", "[unit]") {
  CHECK(HookOf("/validate-network-kubesphere-io-v1alpha2-eip") == Hook::kEip);
  CHECK(HookOf("/validate-network-kubesphere-io-v1alpha2-bgpconf") == Hook::kBgpConf);
  CHECK(HookOf("/validate-network-kubesphere-io-v1alpha2-bgppeer") == Hook::kBgpPeer);
  CHECK(HookOf("/mutate-v1-service") == Hook::kService);
  CHECK_FALSE(HookOf("/").has_value());
  const Verdict verdict = Decide(Hook::kEip, MakeReview("CREATE", "services", json::object()), FakeView());
  CHECK_FALSE(verdict.allowed);
  CHECK(verdict.code == 400);
}

}  // namespace
}  // namespace berth::admission
