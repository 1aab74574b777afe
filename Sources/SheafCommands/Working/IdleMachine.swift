import Glibc

/// Tells whether somebody else needs the machine: by its load and by the keys that are pressed at its terminals.
struct IdleMachine: Sendable {
    /// What can be seen of a machine.
    struct Sight: Sendable, Equatable {
        /// How many processes want to run, over the last minute; nil where that is not known.
        var load: Double?
        /// How long ago somebody typed something at a terminal; nil where there is none.
        var sinceInput: Duration?
    }

    /// The load of others that is taken for idleness, for each core.
    static let quietLoad = 0.5
    /// How long nobody must have typed anything.
    static let quietTime = Duration.seconds(300)
    /// How often it is looked at.
    static let interval = Duration.seconds(5)
    /// Over what time the kernel averages the load.
    private static let averaging = 60.0

    private let cores: Int
    /// What our own tasks have added to the load, averaged as the kernel does it.
    private var ownLoad = 0.0

    init(cores: Int) { self.cores = cores }

    /// Notes how many tasks of ours ran for the last while.
    mutating func note(running: Int, for time: Duration) {
        let share = exp(-(time / .seconds(1)) / Self.averaging)
        ownLoad = ownLoad * share + Double(running) * (1 - share)
    }

    /// Why the machine is not idle, for people; nil where it is.
    func reason(_ sight: Sight) -> String? {
        if let since = sight.sinceInput, since < Self.quietTime {
            return "somebody typed something \(Wording.duration(since)) ago"
        }
        guard let load = sight.load else { return nil }
        // Tasks that wait for a network add nothing to the load: what others cause is never less than nothing.
        let others = max(0, load - ownLoad)
        guard others > Self.quietLoad * Double(cores) else { return nil }
        let shown = (others * 10).rounded() / 10
        return "others keep it busy (a load of \(shown) on \(Wording.count(cores, "core")))"
    }
}

extension IdleMachine.Sight {
    /// What is to be seen of this machine.
    static func now() -> IdleMachine.Sight {
        var load = 0.0
        let isKnown = getloadavg(&load, 1) == 1
        return IdleMachine.Sight(load: isKnown ? load : nil, sinceInput: sinceInput(at: terminals()))
    }

    /// The terminals of this machine, as far as they can be seen.
    private static func terminals() -> [String] {
        let virtual = entries(of: "/dev/pts").filter { Int($0) != nil }.map { "/dev/pts/\($0)" }
        let real = entries(of: "/dev").filter { $0.hasPrefix("tty") && Int($0.dropFirst(3)) != nil }.map {
            "/dev/\($0)"
        }
        return virtual + real
    }

    private static func entries(of folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            names.append(name)
        }
        return names
    }

    /// How long ago the last of these was read from, which is when somebody typed.
    static func sinceInput(at terminals: [String]) -> Duration? {
        let now = time(nil)
        let times = terminals.compactMap { path -> Int? in
            var status = stat()
            guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFCHR else { return nil }
            return status.st_atim.tv_sec
        }
        return times.max().map { .seconds(max(0, now - $0)) }
    }
}
