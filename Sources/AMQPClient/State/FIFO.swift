/// A first-in, first-out queue whose `append` and `popFirst` take amortized constant time.
struct FIFO<Element> {
    private var elements: [Element?] = []
    private var head = 0

    var count: Int { elements.count - head }

    var isEmpty: Bool { count == 0 }

    var first: Element? { isEmpty ? nil : elements[head] }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        guard !isEmpty else { return nil }
        let element = elements[head].take()
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: head < 4096)
            head = 0
        } else if head > 64, head * 2 > elements.count {
            elements.removeFirst(head)
            head = 0
        }
        return element
    }

    /// Removes all elements and returns them in order.
    mutating func drain() -> [Element] {
        let rest = elements[head...].compactMap(\.self)
        self = FIFO()
        return rest
    }

    /// Keeps the elements that satisfy a condition.
    mutating func keep(where condition: (Element) -> Bool) {
        for element in drain() where condition(element) { append(element) }
    }

    /// Changes each element in turn.
    mutating func update(_ body: (inout Element) -> Void) {
        for index in head..<elements.count {
            guard var element = elements[index].take() else { continue }
            body(&element)
            elements[index] = element
        }
    }

    func first(where condition: (Element) -> Bool) -> Element? {
        for case let element? in elements[head...] where condition(element) { return element }
        return nil
    }

    func forEach(_ body: (Element) -> Void) {
        for case let element? in elements[head...] { body(element) }
    }
}
