import Glibc

/// Lists folders.
enum FolderListing {
    /// What stands in a folder.
    struct Entry {
        var name: [UInt8]
        /// Whether it is a folder itself, not a symbolic link to one.
        var isFolder: Bool
        var isHidden: Bool { name.first == UInt8(ascii: ".") }
    }

    /// The entries of a folder without `.` and `..`, in no order.
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
        // Some file systems do not tell.
        var status = stat()
        return folder.appending(name).withCString { lstat($0, &status) } == 0 && status.isFolder
    }

    /// The regular files below a folder at any depth, hidden ones left out, in no order.
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
