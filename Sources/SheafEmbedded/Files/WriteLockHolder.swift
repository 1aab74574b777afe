import Glibc

/// The process that has SQLite's write lock on a file, as the system tells.
struct WriteLockHolder {
    /// Its number.
    let process: Int32
    /// Whether it was suspended, and so never gives the lock back.
    let isSuspended: Bool

    /// Where in the file beside the write-ahead log SQLite locks the right to write.
    private static let place: Int64 = 120

    /// Finds the holder; nil where nobody holds the lock, or the system does not tell of the process.
    ///
    /// Reads what the system lists: to open the locked file and close it again would end all locks of this process.
    init?(ofDatabase path: String) {
        var file = stat()
        guard stat("\(path)-shm", &file) == 0, let locks = Self.text(of: "/proc/locks") else { return nil }
        for line in locks.split(separator: "\n") {
            // "3: POSIX ADVISORY WRITE 14343 fe:00:5686751 120 120"
            let words = line.split(separator: " ")
            guard words.count == 8, words[1] == "POSIX", words[3] == "WRITE", let number = Int32(words[4]), number > 0,
                words[5].split(separator: ":").last == "\(file.st_ino)"[...],
                let first = Int64(words[6]), first <= Self.place, Int64(words[7]).map({ $0 >= Self.place }) != false
            else { continue }
            self.process = number
            // "14343 (name) T …", and the name may have brackets of its own.
            let state = Self.text(of: "/proc/\(number)/stat")?.split(separator: ")").last?.dropFirst().first
            self.isSuspended = state == "T"
            return
        }
        return nil
    }

    private static func text(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
