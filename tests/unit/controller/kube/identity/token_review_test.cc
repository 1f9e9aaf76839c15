// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/identity/token_review.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "controller/kube/identity/token_memory.h"

namespace berth::kube {
namespace {

using nlohmann::json;

const ExpectedAgent kExpected{.ns = "openelb-system"};

// As Kubernetes 1.35 answers for a token that is bound to a pod.
json GoodReview() {
  return json::parse(R"({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
    "spec": {"token": "header.payload.signature", "audiences": ["berth"]},
    "status": {"authenticated": true, "audiences": ["berth"],
      "user": {"username": "system:serviceaccount:openelb-system:berth-agent", "uid": "1",
        "groups": ["system:serviceaccounts", "system:authenticated"],
        "extra": {"authentication.kubernetes.io/node-name": ["node-1"],
                  "authentication.kubernetes.io/node-uid": ["u"],
                  "authentication.kubernetes.io/pod-name": ["berth-agent-x"]}}}})");
}

std::string Jwt(const std::string& claims) { return absl::StrCat("e30.", absl::WebSafeBase64Escape(claims), ".c2ln"); }

TEST_CASE("a review asks for our audience", "[unit]") {
  const json body = json::parse(TokenReviewBody("a.b.c", "berth"));
  CHECK(body["kind"] == "TokenReview");
  CHECK(body["apiVersion"] == "authentication.k8s.io/v1");
  CHECK(body["spec"]["token"] == "a.b.c");
  CHECK(body["spec"]["audiences"] == json::array({"berth"}));
}

TEST_CASE("a token that the API server vouches for speaks for the node of its pod", "[unit]") {
  CHECK(*JudgeReview(GoodReview().dump(), kExpected) == "node-1");
}

TEST_CASE("a token that is not an agent's is refused with what is wrong and never with the token", "[unit]") {
  json review = GoodReview();
  absl::StatusCode code{};
  std::string says;
  SECTION("unknown") {
    review["status"] = {{"user", json::object()}, {"error", "[invalid bearer token, token lookup failed]"}};
    code = absl::StatusCode::kUnauthenticated;
    says = "token lookup failed";
  }
  SECTION("unknown, in words that quote it") {
    review["status"] = {{"error", "cannot parse header.payload.signature"}};
    code = absl::StatusCode::kUnauthenticated;
    says = "audience \"berth\"";
  }
  SECTION("authenticated is no bool") {
    review["status"]["authenticated"] = "true";
    code = absl::StatusCode::kUnauthenticated;
    says = "does not know";
  }
  SECTION("for somebody else") {
    review["status"]["audiences"] = {"https://kubernetes.default.svc"};
    code = absl::StatusCode::kUnauthenticated;
    says = "not for audience \"berth\" but for \"https://kubernetes.default.svc\"";
  }
  SECTION("for nobody in particular") {
    review["status"].erase("audiences");
    code = absl::StatusCode::kUnauthenticated;
    says = "not for audience \"berth\"";
  }
  SECTION("of another account") {
    review["status"]["user"]["username"] = "system:serviceaccount:openelb-system:default";
    code = absl::StatusCode::kPermissionDenied;
    says =
        "\"system:serviceaccount:openelb-system:default\", not of "
        "\"system:serviceaccount:openelb-system:berth-agent\"";
  }
  SECTION("of another namespace") {
    review["status"]["user"]["username"] = "system:serviceaccount:evil:berth-agent";
    code = absl::StatusCode::kPermissionDenied;
    says = "system:serviceaccount:evil:berth-agent";
  }
  SECTION("bound to no node") {
    review["status"]["user"]["extra"].erase(kNodeNameExtra);
    code = absl::StatusCode::kPermissionDenied;
    says = "names no node";
  }
  SECTION("bound to two") {
    review["status"]["user"]["extra"][kNodeNameExtra] = {"node-1", "node-2"};
    code = absl::StatusCode::kPermissionDenied;
    says = "names no node";
  }
  const absl::Status status = JudgeReview(review.dump(), kExpected).status();
  CHECK(status.code() == code);
  CHECK_THAT(std::string(status.message()), Catch::Contains(says));
  CHECK_THAT(std::string(status.message()), !Catch::Contains("header.payload.signature"));
}

TEST_CASE("what is no review says nothing about the token", "[unit]") {
  for (const char* body : {"", "not json", "[]", "{}", R"({"kind": "Status", "status": "Failure"})",
                           R"({"kind": "TokenReview", "status": "x"})"}) {
    CAPTURE(body);
    CHECK(absl::IsInternal(JudgeReview(body, kExpected).status()));
  }
}

TEST_CASE("the life of a token is read from its claims", "[unit]") {
  const auto life = ReadTokenLife(Jwt(R"({"iat": 1767323045, "exp": 1767326652, "sub": "x"})"));
  REQUIRE(life.has_value());
  CHECK(life->expires - life->issued == absl::Seconds(3607));
  for (const std::string& token :
       {std::string(), std::string("opaque"), std::string("a.b"), std::string("a.!!!.c"), Jwt("[]"), Jwt("{}"),
        Jwt(R"({"exp": 1767326652})"), Jwt(R"({"iat": "1", "exp": "2"})"), Jwt(R"({"iat": 1, "exp": 1e300})"),
        Jwt(R"({"iat": -5, "exp": 7})")}) {
    CAPTURE(token);
    CHECK_FALSE(ReadTokenLife(token).has_value());
  }
}

TEST_CASE("a token is known by its SHA-256", "[unit]") {
  CHECK(absl::BytesToHexString(TokenKey("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("memory is bounded, and no flood of bad tokens makes it forget a good one", "[unit]") {
  TokenMemory memory(10);
  const absl::Time t = absl::UnixEpoch();
  const absl::Time end = t + absl::Hours(1);
  memory.SetGood("good", {"node-1", t, end});
  for (int i = 0; i < 100; ++i) {
    memory.SetBad(absl::StrCat("bad", i), {absl::UnauthenticatedError("no"), t + absl::Seconds(i), end});
  }
  CHECK(memory.size() == 11);
  CHECK(memory.FindGood("good", t) != nullptr);
  CHECK(memory.FindBad("bad99", t) != nullptr);
  CHECK(memory.FindBad("bad89", t) == nullptr);  // the oldest went
  CHECK(memory.FindGood("good", end) == nullptr);
  memory.SetBad("good", {absl::UnauthenticatedError("no"), t, end});
  CHECK(memory.FindGood("good", t) == nullptr);
}

}  // namespace
}  // namespace berth::kube
