import Glibc

/// A path as the user gave it, and where the system finds it.
///
/// Kept as bytes, since file names need not be UTF-8.
struct SystemPath: Sendable, Hashable {
    /// The bytes as given.
    let bytes: [UInt8]
    /// What goes before a relative path.
    let base: [UInt8]

    init(_ bytes: [UInt8], base: [UInt8]) {
        self.bytes = bytes
        self.base = base
    }

    init(_ text: String, workingDirectory: String?) {
        let base = workingDirectory.map { Array($0.utf8) } ?? []
        self.init(Array(text.utf8), base: base.isEmpty || base.last == Self.slash ? base : base + [Self.slash])
    }

    static let slash = UInt8(ascii: "/")

    /// The path for people; what is not UTF-8 is replaced.
    var display: String { String(decoding: bytes, as: UTF8.self) }

    /// The path of something inside this folder; an empty path is the folder where relative paths start.
    func appending(_ name: some Collection<UInt8>) -> SystemPath {
        let separator = bytes.isEmpty || bytes.last == Self.slash ? [] : [Self.slash]
        return SystemPath(bytes + separator + name, base: base)
    }

    func withCString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        var full = bytes.first == Self.slash ? bytes : base + bytes
        if full.isEmpty { full = [UInt8(ascii: ".")] }
        full.append(0)
        return full.withUnsafeBytes { raw in
            raw.withMemoryRebound(to: CChar.self) { buffer in
                // Never nil: there is a terminating zero at least.
                buffer.baseAddress.map(body) ?? "".withCString(body)
            }
        }
    }

    /// Size, time and kind of what the path leads to through symbolic links, or nil where there is nothing.
    func status() -> stat? {
        var status = stat()
        return withCString { stat($0, &status) } == 0 ? status : nil
    }
}

extension stat {
    var isFolder: Bool { st_mode & S_IFMT == S_IFDIR }
    var isRegular: Bool { st_mode & S_IFMT == S_IFREG }
    /// When the content changed last, in nanoseconds since 1970.
    var modified: Int { Int(st_mtim.tv_sec) * 1_000_000_000 + Int(st_mtim.tv_nsec) }
}
