/// A queue that takes at the end and gives at the front, each in constant time.
struct FIFO<Element> {
    private var elements: [Element?] = []
    private var head = 0

    var count: Int { self.elements.count - self.head }

    var isEmpty: Bool { self.count == 0 }

    var first: Element? { self.isEmpty ? nil : self.elements[self.head] }

    mutating func append(_ element: Element) { self.elements.append(element) }

    mutating func popFirst() -> Element? {
        guard !self.isEmpty else { return nil }
        let element = self.elements[self.head].take()
        self.head += 1
        if self.head == self.elements.count {
            self.elements.removeAll(keepingCapacity: self.head < 4096)
            self.head = 0
        } else if self.head > 64, self.head * 2 > self.elements.count {
            self.elements.removeFirst(self.head)
            self.head = 0
        }
        return element
    }

    /// Removes all elements and returns them in their order.
    mutating func drain() -> [Element] {
        let rest = self.elements[self.head...].compactMap(\.self)
        self = FIFO()
        return rest
    }

    /// Keeps the elements that satisfy a condition.
    mutating func keep(where condition: (Element) -> Bool) {
        for element in self.drain() where condition(element) { self.append(element) }
    }

    /// Changes each element in turn.
    mutating func update(_ body: (inout Element) -> Void) {
        for index in self.head..<self.elements.count {
            guard var element = self.elements[index].take() else { continue }
            body(&element)
            self.elements[index] = element
        }
    }

    func first(where condition: (Element) -> Bool) -> Element? {
        for case let element? in self.elements[self.head...] where condition(element) { return element }
        return nil
    }

    func forEach(_ body: (Element) -> Void) {
        for case let element? in self.elements[self.head...] { body(element) }
    }
}
