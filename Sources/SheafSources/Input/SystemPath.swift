import Glibc

/// A path as given by the user, and the folder that it is relative to.
///
/// It is stored as bytes, since file names need not be UTF-8.
struct SystemPath: Sendable, Hashable {
    /// The bytes as given.
    let bytes: [UInt8]
    /// The prefix of a relative path.
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

    /// The path for messages; bytes that are not UTF-8 are replaced.
    var display: String { String(decoding: bytes, as: UTF8.self) }

    /// Returns the path of an entry of this folder; an empty path is the base folder.
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
                // Never nil: the buffer contains at least the terminating zero.
                buffer.baseAddress.map(body) ?? "".withCString(body)
            }
        }
    }

    /// Returns the size, time and kind of the target of the path, or nil if it does not exist; follows symbolic links.
    func status() -> stat? {
        var status = stat()
        return withCString { stat($0, &status) } == 0 ? status : nil
    }
}

extension stat {
    var isFolder: Bool { st_mode & S_IFMT == S_IFDIR }
    var isRegular: Bool { st_mode & S_IFMT == S_IFREG }
    /// The time of the last modification, in nanoseconds since 1970.
    var modified: Int { Int(st_mtim.tv_sec) * 1_000_000_000 + Int(st_mtim.tv_nsec) }
}

/// Functions that list folders.
enum FolderListing {
    /// An entry of a folder.
    struct Entry {
        var name: [UInt8]
        /// Whether the entry is a folder; false for a symbolic link to a folder.
        var isFolder: Bool
        var isHidden: Bool { name.first == UInt8(ascii: ".") }
    }

    /// Returns the entries of a folder without `.` and `..`, in no particular order.
    static func entries(of folder: SystemPath) throws(SourceError) -> [Entry] {
        guard let stream = folder.withCString({ opendir($0) }) else {
            throw SourceError.system(errno, path: folder.bytes.isEmpty ? "." : folder.display)
        }
        defer { closedir(stream) }
        // The name is read in place: copying the whole field could read past the end of a short entry.
        let nameOffset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 19
        var entries: [Entry] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw SourceError.system(errno, path: folder.display) }
                return entries
            }
            let start = UnsafeRawPointer(entry) + nameOffset
            let length = strlen(start.assumingMemoryBound(to: CChar.self))
            let name = Array(UnsafeRawBufferPointer(start: start, count: length))
            if name == [UInt8(ascii: ".")] || name == [UInt8(ascii: "."), UInt8(ascii: ".")] { continue }
            entries.append(Entry(name: name, isFolder: isFolder(entry.pointee.d_type, folder, name)))
        }
    }

    private static func isFolder(_ type: UInt8, _ folder: SystemPath, _ name: [UInt8]) -> Bool {
        if Int(type) != Int(DT_UNKNOWN) { return Int(type) == Int(DT_DIR) }
        // Some file systems do not report the type.
        var status = stat()
        return folder.appending(name).withCString { lstat($0, &status) } == 0 && status.isFolder
    }

    /// Returns the regular files below a folder at any depth, except hidden ones, in no particular order.
    static func files(below folder: SystemPath) throws(SourceError) -> [SystemPath] {
        var found: [SystemPath] = []
        var folders = [folder]
        while let folder = folders.popLast() {
            for entry in try entries(of: folder) where !entry.isHidden {
                let path = folder.appending(entry.name)
                if entry.isFolder {
                    folders.append(path)
                } else if path.status()?.isRegular == true {
                    found.append(path)
                }
            }
        }
        return found
    }
}
