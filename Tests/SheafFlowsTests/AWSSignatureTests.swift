import SheafCore
import Testing

@testable import SheafFlows

/// Signatures, with the examples that AWS has published.
@Suite("Signatures of AWS") struct AWSSignatureTests {
    private static let time = "20150830T123600Z"
    private static let suite = AWSSignature(service: "service", region: "us-east-1")
    private static let suiteKeys = AWSSignature.Keys(
        id: "AKIDEXAMPLE",
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    )
    private static let s3 = AWSSignature(service: "s3", region: "us-east-1")
    private static let s3Keys = AWSSignature.Keys(
        id: "AKIAIOSFODNN7EXAMPLE",
        secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    )

    /// An example of the Signature Version 4 test suite.
    struct Example: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var method = "GET"
        var path = "/"
        var query = ""
        var headers: [[String]] = []
        var body = ""
        var signature: String

        static let all = [
            Example(
                testDescription: "get-vanilla",
                signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
            ),
            Example(
                testDescription: "get-vanilla-query-order-key-case",
                query: "Param2=value2&Param1=value1",
                signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
            ),
            Example(
                testDescription: "post-vanilla",
                method: "POST",
                signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
            ),
            Example(
                testDescription: "post-x-www-form-urlencoded",
                method: "POST",
                headers: [["Content-Type", "application/x-www-form-urlencoded"]],
                body: "Param1=value1",
                signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
            ),
            Example(
                testDescription: "get-header-value-trim",
                headers: [["My-Header1", " value1"], ["My-Header2", " \"a   b   c\""]],
                signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"
            ),
        ]
    }

    @Test("Signatures agree with the published test suite", arguments: Example.all)
    func publishedSuite(example: Example) {
        let request = AWSSignature.Request(
            method: example.method,
            path: example.path,
            query: example.query,
            headers: [("Host", "example.amazonaws.com"), ("X-Amz-Date", Self.time)]
                + example.headers.map { ($0[0], $0[1]) },
            bodyDigest: SHA256.hex(SHA256.digest(Array(example.body.utf8)))
        )
        let value = Self.suite.authorization(of: request, at: Self.time, with: Self.suiteKeys)
        #expect(value.hasSuffix(", Signature=\(example.signature)"), "\(value)")
        #expect(
            value.hasPrefix(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders="
            )
        )
    }

    /// An example of the reference of S3.
    struct StorageExample: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var method = "GET"
        var path = "/"
        var query = ""
        var headers: [[String]] = []
        var body = ""
        var names: String
        var signature: String

        static let all = [
            StorageExample(
                testDescription: "get an object",
                path: "/test.txt",
                headers: [["Range", "bytes=0-9"]],
                names: "host;range;x-amz-content-sha256;x-amz-date",
                signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
            ),
            StorageExample(
                testDescription: "put an object",
                method: "PUT",
                path: "/test%24file.text",
                headers: [
                    ["Date", "Fri, 24 May 2013 00:00:00 GMT"], ["x-amz-storage-class", "REDUCED_REDUNDANCY"],
                ],
                body: "Welcome to Amazon S3.",
                names: "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
            ),
            StorageExample(
                testDescription: "get the lifecycle of a bucket",
                query: "lifecycle",
                names: "host;x-amz-content-sha256;x-amz-date",
                signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
            ),
            StorageExample(
                testDescription: "list objects",
                query: "max-keys=2&prefix=J",
                names: "host;x-amz-content-sha256;x-amz-date",
                signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
            ),
        ]
    }

    @Test("Signatures agree with the examples of S3", arguments: StorageExample.all)
    func storage(example: StorageExample) {
        let digest = SHA256.hex(SHA256.digest(Array(example.body.utf8)))
        let time = "20130524T000000Z"
        let request = AWSSignature.Request(
            method: example.method,
            path: example.path,
            query: example.query,
            headers: [
                ("Host", "examplebucket.s3.amazonaws.com"), ("x-amz-content-sha256", digest), ("x-amz-date", time),
            ] + example.headers.map { ($0[0], $0[1]) },
            bodyDigest: digest
        )
        #expect(
            Self.s3.authorization(of: request, at: time, with: Self.s3Keys)
                == "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
                + "SignedHeaders=\(example.names), Signature=\(example.signature)"
        )
    }

    @Test("A time is written as it is signed")
    func times() {
        #expect(AWSSignature.time(Timestamp(milliseconds: 1_440_938_160_999)) == Self.time)
    }

    @Test("A request is signed with its host, its type, its time and its token, and a streamed body is covered")
    func requests() async throws {
        let variables = ["ID": "AKID", "SECRET": "s", "TOKEN": "t"]
        func template(_ name: String) throws -> CredentialTemplate {
            try CredentialTemplate("${\(name)}", name, variables)
        }
        let signer = AWSAuthenticator(
            service: "bedrock",
            region: "eu-west-1",
            id: try template("ID"),
            secret: try template("SECRET"),
            token: try template("TOKEN")
        )
        #expect(Set(signer.secrets) == ["AKID", "s", "t"])
        let url = try #require(HTTPAddress("http://h:8080/model/a%3A0/converse?b=1"))
        #expect(url.authority == "h:8080" && url.target == ("/model/a%3A0/converse", "b=1"))
        var call = HTTPCall(method: "POST", url: url)
        call.headers = [("Content-Type", "application/json"), ("User-Agent", "sheaf")]
        call.body = Array("{}".utf8)
        let signed = try await signer.authenticated(call, nil)
        let names = signed.headers.map { $0.name.lowercased() }
        #expect(names == ["content-type", "user-agent", "x-amz-date", "x-amz-security-token", "authorization"])
        let value = try #require(signed.headers.last?.value)
        #expect(value.contains("/eu-west-1/bedrock/aws4_request, "))
        #expect(value.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "))
        let stored = try await signer.serving("s3").authenticated(call, nil)
        let digest = stored.headers.first { $0.name == "X-Amz-Content-Sha256" }?.value
        #expect(digest == SHA256.hex(SHA256.digest(Array("{}".utf8))))
        let unset = AWSAuthenticator(
            service: "bedrock",
            region: "eu-west-1",
            id: try template("NO"),
            secret: try template("SECRET"),
            token: nil
        )
        let error = await #expect(throws: FlowError.self) { try await unset.authenticated(call, nil) }
        #expect(error?.type == "credentials" && error?.isRetryable == false)
    }
}
