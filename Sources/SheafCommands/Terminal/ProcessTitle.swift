import Glibc

/// The command line as other users of the machine see it with `ps`.
enum ProcessTitle {
    /// Overwrites passwords in it; the arguments must have been copied before.
    ///
    /// `CommandLine` has copies only, so the memory that the system shows is looked up with the system. Where that fails,
    /// the title stays as it is.
    static func hideCredentials() {
        guard let (start, end) = bounds, end > start, let base = UnsafeMutablePointer<UInt8>(bitPattern: start) else {
            return
        }
        let title = UnsafeMutableBufferPointer(start: base, count: Int(end - start))
        for password in Credentials.passwords(in: title) {
            for position in password { title[position] = UInt8(ascii: "*") }
        }
    }

    /// Where the arguments begin and end in memory: the fields 48 and 49 of `/proc/self/stat`.
    private static var bounds: (start: UInt, end: UInt)? {
        guard let file = fopen("/proc/self/stat", "re") else { return nil }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = fread(&buffer, 1, buffer.count, file)
        // The second field is the program's name in brackets, in which anything may stand.
        guard let bracket = buffer[..<count].lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = buffer[(bracket + 1)..<count].split { $0 == 0x20 || $0 == 0x0A }
        guard fields.count > 46, let start = UInt(String(decoding: fields[45], as: UTF8.self)),
            let end = UInt(String(decoding: fields[46], as: UTF8.self))
        else { return nil }
        return (start, end)
    }
}
