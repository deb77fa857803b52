//! Doubly linked lists of small numbers, all in one vector: a node leaves the list it is in without
//! being told which.

/// A node, or the head of a list; both are indices into the same vector.
pub(super) type NodeId = u32;

/// `N` circular lists. Nodes `0..N` are their heads; each of the others is in one list at most.
#[derive(Debug)]
pub(super) struct Lists<const N: usize> {
    links: Vec<Link>,
}

/// The neighbours of a node. Those of a head are the last and the first of its list, or itself if
/// the list is empty.
#[derive(Clone, Copy, Debug)]
struct Link {
    previous: NodeId,
    next: NodeId,
}

impl<const N: usize> Lists<N> {
    /// `N` empty lists, with room for so many nodes.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let mut links = Vec::with_capacity(N + capacity);
        links.extend((0..N as NodeId).map(Link::to_itself));
        Self { links }
    }

    /// A new node that is in no list.
    ///
    /// # Panics
    ///
    /// With 2^32 nodes, which would take 32 GiB.
    pub(super) fn add_node(&mut self) -> NodeId {
        assert!(
            self.links.len() < NodeId::MAX as usize,
            "a wheel holds at most 2^32 entries"
        );
        let node = self.links.len() as NodeId;
        self.links.push(Link::to_itself(node));
        node
    }

    /// The first node of a list.
    pub(super) fn front(&self, list: NodeId) -> Option<NodeId> {
        Some(self.links[list as usize].next).filter(|node| *node != list)
    }

    /// Appends a node that is in no list.
    pub(super) fn push_back(&mut self, list: NodeId, node: NodeId) {
        let last = self.links[list as usize].previous;
        self.links[last as usize].next = node;
        self.links[node as usize] = Link {
            previous: last,
            next: list,
        };
        self.links[list as usize].previous = node;
    }

    /// Takes a node out of its list. Returns that list if it is empty now.
    pub(super) fn unlink(&mut self, node: NodeId) -> Option<NodeId> {
        let Link { previous, next } = self.links[node as usize];
        self.links[previous as usize].next = next;
        self.links[next as usize].previous = previous;
        // With one neighbour on both sides the circle was the node and that neighbour, and every
        // circle has a head.
        (previous == next).then_some(next)
    }

    /// Moves all nodes of one list to the end of another, in their order.
    pub(super) fn append(&mut self, from: NodeId, to: NodeId) {
        let Link {
            previous: last,
            next: first,
        } = self.links[from as usize];
        if first == from {
            return;
        }
        self.links[from as usize] = Link::to_itself(from);
        let before = self.links[to as usize].previous;
        self.links[before as usize].next = first;
        self.links[first as usize].previous = before;
        self.links[last as usize].next = to;
        self.links[to as usize].previous = last;
    }
}

impl Link {
    fn to_itself(node: NodeId) -> Self {
        Self {
            previous: node,
            next: node,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = 0;
    const B: NodeId = 1;

    fn two_lists(a: &[NodeId], b: &[NodeId]) -> Lists<2> {
        let mut lists = Lists::with_capacity(0);
        let nodes = a.len() + b.len();
        for expected in 2..2 + nodes as NodeId {
            assert_eq!(lists.add_node(), expected);
        }
        a.iter().for_each(|node| lists.push_back(A, *node));
        b.iter().for_each(|node| lists.push_back(B, *node));
        lists
    }

    /// The nodes of a list, read in both directions.
    fn nodes(lists: &Lists<2>, list: NodeId) -> Vec<NodeId> {
        let walk = |step: fn(&Link) -> NodeId| {
            let next = |node: &NodeId| {
                Some(step(&lists.links[*node as usize])).filter(|next| *next != list)
            };
            std::iter::successors(next(&list), next).collect::<Vec<_>>()
        };
        let forwards = walk(|link| link.next);
        assert!(walk(|link| link.previous).iter().rev().eq(&forwards));
        forwards
    }

    #[test]
    fn keeps_the_order_of_pushes() {
        let lists = two_lists(&[3, 2, 5], &[4]);
        assert_eq!(nodes(&lists, A), [3, 2, 5]);
        assert_eq!(nodes(&lists, B), [4]);
        assert_eq!(lists.front(A), Some(3));
    }

    #[test]
    fn unlinks_from_any_place_and_tells_when_a_list_is_emptied() {
        let mut lists = two_lists(&[2, 3, 4, 5], &[]);
        assert_eq!(lists.unlink(3), None);
        assert_eq!(nodes(&lists, A), [2, 4, 5]);
        assert_eq!(lists.unlink(2), None);
        assert_eq!(lists.unlink(5), None);
        assert_eq!(nodes(&lists, A), [4]);
        assert_eq!(lists.unlink(4), Some(A));
        assert_eq!(lists.front(A), None);
    }

    #[test]
    fn appends_a_whole_list_to_another() {
        for (a, b) in [
            (vec![2, 3], vec![4, 5]),
            (vec![2], vec![]),
            (vec![], vec![2]),
            (vec![], vec![]),
        ] {
            let mut lists = two_lists(&a, &b);
            lists.append(A, B);
            assert!(nodes(&lists, A).is_empty());
            assert_eq!(nodes(&lists, B), [b, a].concat());
        }
    }
}
