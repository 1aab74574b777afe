import HTTPTypes
import Hummingbird
import NIOCore
import SheafCore

/// A short stand-in for the bytes of a body: equal bytes have equal tags, on every server.
struct EntityTag {
    /// 16 hexadecimal digits: FNV-1a with 64 bits.
    let digest: String

    init(_ bytes: some Sequence<UInt8>) {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        let digits = String(hash, radix: 16)
        digest = String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Whether an `If-None-Match` header names the tag.
    func isNamed(in header: String?) -> Bool {
        guard let header else { return false }
        return header.split(separator: ",").contains { part in
            let tag = part.drop { $0 == " " }.prefix { $0 != " " }
            return tag == "*" || tag == "\"\(digest)\"" || tag == "W/\"\(digest)\""
        }
    }
}

extension Response {
    /// Creates a JSON response with an `ETag`, or 304 without a body if the client has that state already.
    static func tagged(_ value: JSONValue, for request: Request) -> Response {
        let tag = EntityTag(value.bytes)
        let headers: HTTPFields = [.eTag: "\"\(tag.digest)\"", .cacheControl: "no-cache"]
        if tag.isNamed(in: request.headers[.ifNoneMatch]) { return Response(status: .notModified, headers: headers) }
        return .json(value, headers: headers)
    }
}
